"""Cameras: by number, device, and picamera2."""

import sys
import types

import cv2
import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.sources import LatestFrames, VideoSource, list_cameras, open_source
from edge_runtime.sources.source import CameraRequest


def test_camera_that_is_not_there():
    with pytest.raises(SourceError, match="no camera 97"):
        open_source("97")


def test_cameras_are_listed_by_number(monkeypatch):
    class Capture:
        def __init__(self, index):
            self.index = index

        def isOpened(self):  # noqa: N802, OpenCV's name
            return self.index in (0, 2)

        def release(self):
            pass

    monkeypatch.setattr("edge_runtime.sources.cameras.open_capture", Capture)
    assert [index for index, _ in list_cameras(4)] == [0, 2]


class UsbCamera:
    """Capture of a camera that has 640 x 480 at 30 fps only."""

    opened = None

    def __init__(self, index):
        type(self).opened = index
        self.requested = {}

    def isOpened(self):  # noqa: N802, OpenCV's name
        return True

    def set(self, what, value):
        self.requested[what] = value
        return False

    def get(self, what):
        return 30.0 if what == cv2.CAP_PROP_FPS else 0.0

    def read(self):
        return True, np.zeros((480, 640, 3), np.uint8)

    def release(self):
        pass


@pytest.fixture
def usb_camera(monkeypatch):
    monkeypatch.setattr(UsbCamera, "opened", None)
    monkeypatch.setattr("edge_runtime.sources.videos.open_capture", UsbCamera)
    return UsbCamera


@pytest.mark.parametrize(("name", "index"), [("3", 3), ("/dev/video4", 4)])
def test_cameras_are_opened_by_number_or_device_and_give_their_newest_frame(usb_camera, name, index):
    with open_source(name) as source:
        assert isinstance(source, LatestFrames)
        assert next(iter(source)).image.shape == (480, 640, 3)
    assert usb_camera.opened == index


def test_what_a_camera_gives_instead_is_a_warning(usb_camera, caplog):
    with open_source("0", width=640, height=480, fps=30):
        assert caplog.text == ""
    with open_source("0", width=1280, height=720, fps=60) as source:
        requested = source._source._capture.requested
    assert requested == {
        cv2.CAP_PROP_FRAME_WIDTH: 1280,
        cv2.CAP_PROP_FRAME_HEIGHT: 720,
        cv2.CAP_PROP_FPS: 60,
    }
    assert "camera 0 gives 640 x 480 at 30 fps; requested: 1280 x 720 at 60 fps" in caplog.text


def test_a_file_named_as_a_camera_comes_first(usb_camera, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("0.png", np.zeros((6, 8, 3), np.uint8))
    (tmp_path / "0.png").rename("0")
    with open_source("0") as source:
        assert next(iter(source)).image.shape == (6, 8, 3)
    assert usb_camera.opened is None


def test_only_cameras_take_requests(write_video, tmp_path):
    video = str(write_video([10]))
    with pytest.raises(SourceError, match=r"cannot request 640 x 480 at 15 fps of .*in\.avi: only cameras"):
        open_source(video, width=640, height=480, fps=15)
    with pytest.raises(SourceError, match=r"cannot request 15 fps of rtsp://cam/x"):
        open_source("rtsp://cam/x", fps=15)
    with pytest.raises(ValueError, match="belong together, got 640 x None"):
        CameraRequest(width=640)
    for value in (0, -1, float("nan"), 1e6):
        with pytest.raises(ValueError, match="fps must be above 0"):
            CameraRequest(fps=value)


class Picamera2:
    """Stand-in with the interface of picamera2 that we use."""

    made: "list[Picamera2]" = []  # noqa: RUF012

    def __init__(self, camera_num):
        if camera_num > 0:
            raise IndexError("list index out of range")
        self.calls, self.frames = [], 0
        self.made.append(self)

    def create_video_configuration(self, main, controls=None):
        return {"main": main, "controls": controls}

    def configure(self, configuration):
        self.calls.append(configuration)

    def start(self):
        self.calls.append("start")

    def capture_array(self):
        self.frames += 1
        if self.frames > 3:
            raise RuntimeError("camera frontend has timed out\nmore")
        width, height = self.calls[0]["main"]["size"]
        return np.full((height, width, 3), (255, 0, 0), np.uint8)  # blue, as RGB888 is B, G, R in memory

    def stop(self):
        self.calls.append("stop")
        raise RuntimeError("stop fails on a camera that was unplugged")

    def close(self):
        self.calls.append("close")


@pytest.fixture
def picamera2(monkeypatch):
    Picamera2.made.clear()
    monkeypatch.setitem(sys.modules, "picamera2", types.SimpleNamespace(Picamera2=Picamera2))
    return Picamera2.made


def test_picamera2_gives_bgr_frames_until_it_fails(picamera2):
    frames = []
    with open_source("picamera2", width=320, height=240, fps=15) as source:
        assert source.fps == 15
        with pytest.raises(SourceError, match=r"picamera2:0 stopped giving frames: camera frontend has timed out$"):
            frames.extend(source)
    assert frames[-1].index == 2, "the newest frame is never dropped"
    assert frames[-1].image.shape == (240, 320, 3)
    assert frames[-1].image[0, 0].tolist() == [255, 0, 0]
    source._reader.join(60)
    configuration, *calls = picamera2[0].calls
    assert configuration == {"main": {"size": (320, 240), "format": "RGB888"}, "controls": {"FrameRate": 15}}
    assert calls == ["start", "stop", "close"]


def test_picamera2_without_a_camera_or_the_library(picamera2, monkeypatch):
    with pytest.raises(SourceError, match=r"cannot open camera 1 by picamera2: list index out of range; check"):
        open_source("picamera2:1")
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(SourceError, match="sudo apt install python3-picamera2"):
        open_source("picamera2:0")


@pytest.mark.parametrize("number", ["999999999", "2147483647", "99999999999999999999", "9" * 5000])
def test_a_huge_number_is_no_camera(number):
    with pytest.raises(SourceError, match="no camera") as caught:
        open_source(number)
    assert len(str(caught.value)) < 400
    with pytest.raises(SourceError, match="no camera"):
        VideoSource.camera(int(number[:20]))


@pytest.mark.parametrize("name", ["/dev/\0", "a\0b", "x" * 100_000])
def test_what_cannot_be_a_path_is_a_short_error(name):
    with pytest.raises(SourceError, match="no such file") as caught:
        open_source(name)
    assert len(str(caught.value)) < 500
