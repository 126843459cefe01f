import logging
import queue
import struct
import threading
import zlib

import cv2
import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.sources import Frame, ImageSource, LatestFrames, VideoSource, list_cameras, open_source


@pytest.mark.parametrize("name", ["in.avi", "in.mp4"])
def test_video_frames_come_in_order_with_their_times(write_video, name):
    with open_source(str(write_video([10, 60, 110, 160], name))) as source:
        frames = list(source)
        assert (source.fps, source.stills) == (pytest.approx(25), False)
    assert [f.index for f in frames] == [0, 1, 2, 3]
    assert [f.timestamp for f in frames] == pytest.approx([0, 0.04, 0.08, 0.12], abs=1e-3)
    assert [f.image.mean() for f in frames] == pytest.approx([10, 60, 110, 160], abs=4)


class Capture:
    """Capture of `frames` frames at these positions."""

    def __init__(self, frames, positions=None, fps=0.0):
        self.frames, self.positions, self.fps = frames, positions or [0.0] * frames, fps
        self.reads, self.released = 0, False

    def read(self):
        self.reads += 1
        return (True, np.zeros((4, 4, 3), np.uint8)) if self.reads <= self.frames else (False, None)

    def get(self, what):
        return self.fps if what == cv2.CAP_PROP_FPS else self.positions[self.reads - 1]

    def release(self):
        self.released = True


def test_video_without_time_stamps_or_rate_gets_some():
    source = VideoSource(Capture(3), "v", live=False)
    assert source.fps == 30
    assert [f.timestamp for f in source] == pytest.approx([0, 1 / 30, 2 / 30])


def test_time_starts_at_the_first_frame():
    source = VideoSource(Capture(3, [500.0, 540.0, 640.0], 25), "v", live=False)
    assert [f.timestamp for f in source] == pytest.approx([0, 0.04, 0.14])


def test_video_source_raises_when_the_camera_is_unplugged():
    capture, frames = Capture(2), []
    with (
        pytest.raises(SourceError, match="camera 0 stopped giving frames"),
        VideoSource(capture, "camera 0", True) as s,
    ):
        frames.extend(s)
    assert len(frames) == 2
    assert capture.released


def test_video_source_rejects_and_releases_a_capture_without_frames():
    capture = Capture(0)
    with pytest.raises(SourceError, match="gives no frames"):
        VideoSource(capture, "camera 0", True)
    assert capture.released


def test_image_and_folder(tmp_path):
    for name, value in (("b.png", 20), ("a.jpg", 10), ("c.bmp", 30)):
        cv2.imwrite(str(tmp_path / name), np.full((6, 8, 3), value, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    with open_source(str(tmp_path)) as source:
        assert (source.stills, source.length) == (True, 3)
        assert [f.image.mean() for f in source] == pytest.approx([10, 20, 30], abs=1)
    with open_source(str(tmp_path / "b.png")) as source:
        (frame,) = source
        assert frame.image.shape == (6, 8, 3)


@pytest.mark.parametrize("image", [np.full((3, 4), 9000, np.uint16), np.zeros((3, 4, 4), np.uint8)])
def test_deep_and_transparent_images_become_bgr(tmp_path, image):
    cv2.imwrite(str(tmp_path / "x.png"), image)
    (frame,) = open_source(str(tmp_path / "x.png"))
    assert frame.image.shape == (3, 4, 3)
    assert frame.image.dtype == np.uint8


def test_damaged_image_in_a_folder_is_skipped_and_logged(tmp_path, caplog):
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((6, 8, 3), np.uint8))
    (tmp_path / "a.png").write_bytes(b"damaged")
    (tmp_path / "c.png").touch()
    with caplog.at_level(logging.WARNING):
        assert [f.index for f in open_source(str(tmp_path))] == [0]
    assert "a.png" in caplog.text
    assert "c.png" in caplog.text


@pytest.fixture
def huge_png(tmp_path):
    """A PNG whose header declares 60000 x 60000 pixels."""
    chunks = b""
    for name, data in ((b"IHDR", struct.pack(">2I5B", 60000, 60000, 8, 2, 0, 0, 0)), (b"IEND", b"")):
        chunks += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    path = tmp_path / "huge.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def test_image_of_an_absurd_size_is_damaged(huge_png, caplog):
    with pytest.raises(SourceError, match=r"huge\.png is not an image"):
        list(open_source(str(huge_png)))
    cv2.imwrite(str(huge_png.with_name("good.png")), np.zeros((6, 8, 3), np.uint8))
    assert len(list(open_source(str(huge_png.parent)))) == 1
    assert "huge.png" in caplog.text


def test_unreadable_file_is_skipped_or_raises(tmp_path, caplog):
    closed, good = tmp_path / "closed.png", tmp_path / "good.png"
    closed.mkdir()  # opening it fails for root too
    cv2.imwrite(str(good), np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(SourceError, match=r"closed\.png cannot be read: "):
        list(ImageSource([closed]))
    assert len(list(ImageSource([closed, good]))) == 1
    assert "closed.png" in caplog.text
    with pytest.raises(SourceError, match="none of the 2 images"):
        list(ImageSource([closed, closed]))


def test_open_source_rejects_sources_without_frames(tmp_path, write_video):
    with pytest.raises(SourceError, match=r"no such file: absent.mp4"):
        open_source("absent.mp4")
    with pytest.raises(SourceError, match="holds no images"):
        open_source(str(tmp_path))
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(SourceError, match=r"empty\.mp4 is empty"):
        open_source(str(empty))
    text = tmp_path / "text.mp4"
    text.write_text("this is no video" * 100)
    with pytest.raises(SourceError, match=r"text\.mp4 is not a video"):
        open_source(str(text))
    whole = write_video([10] * 5, "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"cut\.mp4"):
        open_source(str(tmp_path / "cut.mp4"))
    with pytest.raises(SourceError, match=r"gives no frames|not a video"):
        open_source(str(write_video([], "none.avi")))
    (tmp_path / "bad.png").write_bytes(b"damaged")
    with pytest.raises(SourceError, match=r"bad\.png is not an image"):
        list(open_source(str(tmp_path / "bad.png")))


def test_camera_that_is_not_there():
    with pytest.raises(SourceError, match="no camera 97"):
        open_source("97")


class Ticking:
    """A live source whose frames the test triggers."""

    fps, stills, length, expected, live = 30.0, False, None, None, True

    def __init__(self):
        self.queue = queue.Queue()
        self.taken = threading.Semaphore(0)
        self.closed = False

    def __iter__(self):
        index = 0
        while (item := self.queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield Frame(item, index / 30, index)
            index += 1
            self.taken.release()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.closed = True

    def tick(self, count):
        for _ in range(count):
            self.queue.put(np.zeros((2, 2, 3), np.uint8))
        for _ in range(count):
            assert self.taken.acquire(timeout=60)


def test_latest_frames_drops_older_frames():
    source = Ticking()
    with LatestFrames(source) as latest:
        frames = iter(latest)
        source.tick(1)
        assert next(frames).index == 0
        source.tick(5)
        assert next(frames).index == 5, "four were dropped while the loop was busy"
        source.queue.put(None)
        assert list(frames) == []
    assert source.closed


def test_latest_frames_raises_the_sources_error():
    source = Ticking()
    with LatestFrames(source) as latest:
        source.tick(1)
        source.queue.put(SourceError("camera 0 stopped giving frames"))
        with pytest.raises(SourceError, match="stopped giving frames"):
            list(latest)
    assert source.closed


def test_latest_frames_stops_reading_on_exit():
    source = Ticking()
    with LatestFrames(source) as latest:
        source.tick(1)
        next(iter(latest))
        source.queue.put(np.zeros((2, 2, 3), np.uint8))
    source.queue.put(np.zeros((2, 2, 3), np.uint8))
    latest._reader.join(timeout=60)
    assert not latest._reader.is_alive()


def test_cameras_are_listed_by_number(monkeypatch):
    class Capture:
        def __init__(self, index):
            self.index = index

        def isOpened(self):  # noqa: N802, OpenCV's name
            return self.index in (0, 2)

        def release(self):
            pass

    monkeypatch.setattr("edge_runtime.sources.open_capture", Capture)
    assert [index for index, _ in list_cameras(4)] == [0, 2]


def test_video_reports_the_expected_number_of_frames(write_video):
    with open_source(str(write_video([50] * 7))) as source:
        assert source.expected == 7
        assert source.length is None, "what a container claims need not be true"


def test_older_opencv_keeps_its_log_level_elsewhere(write_video, monkeypatch):
    levels = [3]
    monkeypatch.delattr(cv2.utils, "logging", raising=False)
    monkeypatch.setattr(cv2, "getLogLevel", lambda: levels[-1], raising=False)
    monkeypatch.setattr(cv2, "setLogLevel", levels.append, raising=False)
    with open_source(str(write_video([10]))) as source:
        assert len(list(source)) == 1
    assert levels == [3, 0, 3]
