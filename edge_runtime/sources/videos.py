"""Video files, cameras, and network streams, by OpenCV."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.decoding import MAX_IMAGE_PIXELS
from edge_runtime.errors import SourceError
from edge_runtime.frames import MAX_SIDE
from edge_runtime.opencv_log import silent_opencv
from edge_runtime.reading import quote
from edge_runtime.sources.containers import Contents, inspect_video
from edge_runtime.sources.source import DEFAULT_FPS, CameraRequest, Frame, Source

MAX_FPS = 240.0
"""Maximum frame rate that is believed. Containers without one report 0, 1000, or NaN."""
MAX_PIXEL_ASPECT = 8.0
"""Maximum width of a pixel in heights, or the inverse, that is believed."""
_MIN_STEP = 0.001
"""Minimum time between two frames, seconds."""
NETWORK_TIMEOUT_MS = 10_000
"""Maximum time to open a network stream, and to wait for its next frame."""


class VideoSource(Source):
    """Video file, camera, or network stream. Frames are upright and have square pixels."""

    def __init__(self, capture: cv2.VideoCapture, name: str, live: bool, contents: Contents | None = None) -> None:
        """Take ownership of an opened capture; `contents` is what its file claims.

        SourceError if it has no first frame, or its frames have more than `MAX_IMAGE_PIXELS`.
        """
        width, height = (capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_IMAGE_PIXELS:
            capture.release()
            raise SourceError(f"{name} declares {width:g} x {height:g} pixels, at most {MAX_IMAGE_PIXELS} are read")
        ok, first = capture.read()
        if not ok or first is None:
            capture.release()
            reason = "not connected, or in use by another program" if live else "damaged, or not a video or image"
            raise SourceError(f"{name} gives no frames: it is empty, {reason}")
        self._capture, self._name, self.live = capture, name, live
        self._used = False
        self._start = self._clock()
        self._first = first
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= MAX_FPS else DEFAULT_FPS
        self._contents = contents or Contents()
        self.expected = None if live else self._contents.frames or _frame_count(capture)
        self._pixel_aspect = pixel_aspect(capture)

    @classmethod
    def camera(cls, index: int, request: CameraRequest | None = None) -> VideoSource:
        """Open a camera by its number, from 0. SourceError if there is none."""
        capture = open_capture(index) if 0 <= index < 10**9 else None  # OpenCV adds the interface's number
        if capture is None or not capture.isOpened():
            raise SourceError(f"no camera {index}: it is not connected, or access is denied; run with --list-cameras")
        if request is not None:
            wanted = {
                cv2.CAP_PROP_FRAME_WIDTH: request.width,
                cv2.CAP_PROP_FRAME_HEIGHT: request.height,
                cv2.CAP_PROP_FPS: request.fps,
            }
            for what, value in wanted.items():
                if value is not None:
                    capture.set(what, value)
        return cls(capture, f"camera {index}", live=True)

    @classmethod
    def file(cls, path: Path) -> VideoSource:
        """Open a video file. SourceError if it cannot be read."""
        contents = inspect_video(path)
        capture = open_capture(str(path))
        if not capture.isOpened():
            raise SourceError(f"{path} is not a video or image that OpenCV can read, or is damaged")
        return cls(capture, str(path), live=False, contents=contents)

    @classmethod
    def stream(cls, url: str) -> VideoSource:
        """Open a network stream, or a video file of a web server, by its URL. SourceError if it cannot be read."""
        name = without_password(url)
        timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
        options = [number for what in timeouts for number in (what, NETWORK_TIMEOUT_MS)]
        capture = open_capture(url, cv2.CAP_FFMPEG, options)
        if not capture.isOpened():
            raise SourceError(
                f"cannot open {name}: no answer within {NETWORK_TIMEOUT_MS // 1000} s, access is denied, or it is not "
                "a video stream; check the address, user name, and password"
            )
        # RTSP servers play recordings in real time, too.
        live = url.lower().startswith("rtsp") or _frame_count(capture) is None
        return cls(capture, name, live)

    @classmethod
    def pipeline(cls, description: str) -> VideoSource:
        """Open a GStreamer pipeline, which ends in `appsink`. SourceError if OpenCV cannot run it."""
        if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
            raise SourceError(
                f"cannot open the GStreamer pipeline {quote(description)!r}: this OpenCV is built without GStreamer; "
                "use your system's package, as python3-opencv of Debian, or another source"
            )
        capture = open_capture(description, cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            raise SourceError(
                f"cannot open the GStreamer pipeline {quote(description)!r}: check it with gst-launch-1.0, and end it "
                "with `videoconvert ! video/x-raw,format=BGR ! appsink`"
            )
        return cls(capture, "the GStreamer pipeline", live=_frame_count(capture) is None)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames in pixels."""
        height, width = self._square(self._first).shape[:2]
        return width, height

    def __iter__(self) -> Iterator[Frame]:
        if self._used:
            raise SourceError(f"{self._name} was read or closed already: open it again")
        self._used = True
        image, index, timestamp, clock = self._first, 0, 0.0, 0.0
        while True:
            yield Frame(self._square(image), timestamp, index)
            ok, image = self._capture.read()
            if not ok or image is None:
                if self.live:
                    raise SourceError(f"{self._name} stopped giving frames; check its connection")
                self.incomplete = self._contents.shortfall(index + 1, self._name)
                return
            index += 1
            now = self._clock() - self._start
            # Some streams report zeros or repeat a time; a later time is the file's again.
            timestamp = max(now, timestamp + _MIN_STEP) if now > clock else timestamp + 1 / self.fps
            clock = max(clock, now)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._used = True
        self._capture.release()

    def _clock(self) -> float:
        """Return the time of the last frame in seconds, from any origin."""
        return time.monotonic() if self.live else float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    def _square(self, image: np.ndarray) -> np.ndarray:
        """Stretch a frame to square pixels along one side; the other keeps its pixels."""
        height, width = image.shape[:2]
        if self._pixel_aspect > 1:
            width = round(width * self._pixel_aspect)
        else:
            height = round(height / self._pixel_aspect)
        if (height, width) == image.shape[:2] or max(height, width) > MAX_SIDE:
            return image
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))


def pixel_aspect(capture: cv2.VideoCapture) -> float:
    """Return the width of a decoded frame's pixels in heights; 1 if the container does not say."""
    width, height = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    if not (width > 0 and height > 0):
        return 1.0
    aspect = float(width / height)
    # The container's value is of the frame before its rotation.
    if capture.get(cv2.CAP_PROP_ORIENTATION_AUTO) and round(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180 == 90:
        aspect = 1 / aspect
    return aspect if 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT else 1.0


def without_password(url: str) -> str:
    """Return a URL without its password and query, which may hold another one."""
    return re.sub(r"(?<=://)([^/@:]*):[^/]*@", r"\1:***@", url.partition("?")[0])


def open_capture(source: int | str, api: int = cv2.CAP_ANY, options: Sequence[int] = ()) -> cv2.VideoCapture:
    """Open a capture without log output of OpenCV and FFmpeg. Frames of files are rotated upright."""
    with silent_opencv():
        capture = cv2.VideoCapture(source, api, list(options))
        if isinstance(source, str):
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # off by default in OpenCV 4.11
        return capture


def _frame_count(capture: cv2.VideoCapture) -> int | None:
    """Return the number of frames that the container reports; None if it reports none."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(count) if 0 < count < 10**8 else None
