"""Video files, cameras by number, and network streams."""

import http.server
import struct
import threading

import cv2
import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.sources import LatestFrames, VideoSource, open_source
from edge_runtime.sources.videos import without_password


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
        if what == cv2.CAP_PROP_POS_MSEC:
            return self.positions[self.reads - 1]
        return self.fps if what == cv2.CAP_PROP_FPS else 0.0

    def release(self):
        self.released = True


def test_video_without_time_stamps_or_rate_gets_some():
    source = VideoSource(Capture(3), "v", live=False)
    assert source.fps == 30
    assert [f.timestamp for f in source] == pytest.approx([0, 1 / 30, 2 / 30])


def test_time_starts_at_the_first_frame():
    source = VideoSource(Capture(3, [500.0, 540.0, 640.0], 25), "v", live=False)
    assert [f.timestamp for f in source] == pytest.approx([0, 0.04, 0.14])


def test_times_are_the_files_again_after_a_repeated_one():
    source = VideoSource(Capture(6, [0.0, 40.0, 40.0, 80.0, 120.0, 160.0], 14.5), "v", live=False)
    times = [f.timestamp for f in source]
    assert times == sorted(set(times))
    assert [*times[:2], *times[4:]] == pytest.approx([0, 0.04, 0.12, 0.16])


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


def boxed(path, aspect=None, rotated=False):
    """Patch the pixel aspect ratio, and a rotation by 90 degrees, into an MP4 file."""
    data = bytearray(path.read_bytes())
    if rotated:
        at = data.index(b"tkhd") + 4 + 40
        data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    if aspect is not None:
        entry = data.index(b"mp4v", data.index(b"stsd")) - 4
        (size,) = struct.unpack_from(">I", data, entry)
        data[entry + size : entry + size] = struct.pack(">I4s2I", 16, b"pasp", *aspect)
        parents = [data.rindex(name) - 4 for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")]
        for at in (*parents, entry):
            struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + 16)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("size", "aspect", "rotated", "shown"),
    [
        ((36, 48), (16, 9), False, (64, 48)),
        ((36, 48), (9, 16), False, (36, 85)),
        ((36, 48), (16, 9), True, (48, 64)),
        ((36, 48), None, True, (48, 36)),
        ((36, 48), (1, 1), False, (36, 48)),
        ((36, 48), (1, 1000), False, (36, 48)),
    ],
)
def test_frames_have_square_pixels_and_are_upright(write_video, size, aspect, rotated, shown):
    path = write_video([10, 60], "in.mp4", size)
    boxed(path, aspect, rotated)
    with VideoSource.file(path) as source:
        assert source.size == shown
        assert [frame.image.shape for frame in source] == [(shown[1], shown[0], 3)] * 2


def test_slow_videos_keep_their_rate_and_times(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "slow.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 0.5, (32, 32))
    for _ in range(3):
        writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.release()
    with open_source(str(tmp_path / "slow.mp4")) as source:
        assert source.fps == pytest.approx(0.5)
        assert [frame.timestamp for frame in source] == pytest.approx([0, 2, 4])


def test_live_time_starts_when_the_first_frame_was_read(monkeypatch):
    times = iter([100.0, 100.5])
    monkeypatch.setattr("edge_runtime.sources.videos.time.monotonic", lambda: next(times))
    source = VideoSource(Capture(2), "camera 0", live=True)
    frames = iter(source)
    assert [next(frames).timestamp, next(frames).timestamp] == [0.0, 0.5]


def test_passwords_are_not_shown():
    assert without_password("rtsp://me:secret@cam:554/a?b") == "rtsp://me:***@cam:554/a"
    assert without_password("http://cam/a?user=me&pwd=secret") == "http://cam/a"
    with pytest.raises(SourceError, match=r"cannot open rtsp://me:\*\*\*@127\.0\.0\.1:1/x: ") as error:
        open_source("rtsp://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(error.value)


@pytest.fixture
def server(write_video):
    """A web server of a video file, and of a camera's endless motion JPEG; yields its URL."""
    content = write_video([10, 60, 110], "served.mp4").read_bytes()
    stopped = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            if self.path == "/clip.mp4":
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                return
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
            part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(jpeg), jpeg)
            try:
                while not stopped.wait(0.005):
                    self.wfile.write(part)
            except OSError:
                pass  # the client has left

        def log_message(self, *_):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{web.server_address[1]}"
    stopped.set()
    web.shutdown()
    web.server_close()


def test_a_video_of_a_web_server_is_read_whole(server):
    with open_source(f"{server}/clip.mp4") as source:
        assert (source.live, source.expected) == (False, 3)
        assert [frame.dropped for frame in source] == [None] * 3


def test_a_network_camera_is_live(server):
    with open_source(f"{server}/camera.mjpg") as source:
        assert isinstance(source, LatestFrames)
        frames = [frame for frame, _ in zip(source, range(3), strict=False)]
    assert [round(frame.image.mean()) for frame in frames] == [90] * 3
    assert all(frame.dropped is not None for frame in frames)


def test_a_pipeline_needs_an_opencv_with_gstreamer(monkeypatch):
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda api: False)
    with pytest.raises(SourceError, match=r"'videotestsrc ! appsink': this OpenCV is built without GStreamer"):
        open_source("videotestsrc ! appsink")
    opened = []
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda api: api == cv2.CAP_GSTREAMER)

    def open_capture(*arguments):
        opened.append(arguments)
        return Pipeline(2)

    monkeypatch.setattr("edge_runtime.sources.videos.open_capture", open_capture)
    with open_source("videotestsrc ! appsink") as source:
        assert source.live
    assert opened == [("videotestsrc ! appsink", cv2.CAP_GSTREAMER)]


class Pipeline(Capture):
    def isOpened(self):  # noqa: N802, OpenCV's name
        return True


def test_a_video_is_read_once(write_video):
    with open_source(write_video([50, 100, 150])) as video:
        assert len(list(video)) == 3
        with pytest.raises(SourceError, match="was read or closed already: open it again"):
            list(video)
    unread = open_source(write_video([50], "other.avi"))
    unread.close()
    with pytest.raises(SourceError, match="was read or closed already"):
        list(unread)
