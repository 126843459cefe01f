"""Where frames come from: a camera, a video, an image, a folder of images."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import cv2
import numpy as np

from edge_runtime.errors import SourceError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
DEFAULT_FPS = 30.0
"""Frames per second of what does not say: folders, some cameras and containers."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """One picture of a source."""

    image: np.ndarray
    """(H, W, 3) uint8 BGR."""
    timestamp: float
    """Seconds since the source's first frame."""
    index: int
    """0 for the first frame that was read."""


class Source(Protocol):
    """Frames, once, in order; a context manager that frees the device or file."""

    fps: float
    """Nominal frames per second."""
    stills: bool
    """Pictures rather than a stream: an image, or a folder of them."""
    length: int | None
    """Number of frames, at most; None when unknown."""
    expected: int | None
    """Number of frames that the source claims to have, to show progress by; None when it does not say."""
    live: bool
    """Frames come as time passes, whether anybody takes them or not."""

    def __iter__(self) -> Iterator[Frame]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: object, error: object, trace: object) -> None: ...


def open_source(source: str) -> Source:
    """Open a camera by its number, or a video, image or folder by its path.

    SourceError when it does not exist, cannot be read, or is empty.
    """
    if source.isdecimal():
        return VideoSource.camera(int(source))
    path = Path(source)
    if path.is_dir():
        return ImageSource.folder(path)
    if not path.is_file():
        raise SourceError(f"no such file: {source}; a source is a camera number, a video, an image or a folder")
    if path.stat().st_size == 0:
        raise SourceError(f"{source} is empty")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource([path])
    return VideoSource.file(path)


class VideoSource:
    """A video file or a camera."""

    stills = False
    length: int | None = None
    expected: int | None = None

    def __init__(self, capture: cv2.VideoCapture, name: str, live: bool) -> None:
        """Take over an opened capture. SourceError when it gives no first frame."""
        ok, first = capture.read()
        if not ok or first is None:
            capture.release()
            raise SourceError(f"{name} gives no frames: it is empty, damaged, or in use by another program")
        fps = capture.get(cv2.CAP_PROP_FPS)
        # Containers without a frame rate say 0, some say 1000 or NaN.
        self.fps = fps if 1 <= fps <= 240 else DEFAULT_FPS
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.expected = count if not live and 0 < count < 10**8 else None
        self._capture, self._name, self.live = capture, name, live
        self._first = first

    @classmethod
    def camera(cls, index: int) -> VideoSource:
        """A camera by its number, 0 for the first. SourceError when there is none."""
        capture = open_capture(index)
        if not capture.isOpened():
            raise SourceError(f"no camera {index}: none is plugged in under this number, or access to it is denied")
        return cls(capture, f"camera {index}", live=True)

    @classmethod
    def file(cls, path: Path) -> VideoSource:
        """A video file. SourceError when it cannot be read."""
        capture = open_capture(str(path))
        if not capture.isOpened():
            raise SourceError(f"{path} is not a video or image that OpenCV reads, or is damaged")
        return cls(capture, str(path), live=False)

    def __iter__(self) -> Iterator[Frame]:
        image, index, timestamp = self._first, 0, 0.0
        start = self._clock()
        while True:
            yield Frame(image, timestamp, index)
            ok, image = self._capture.read()
            if not ok or image is None:
                if self.live:
                    raise SourceError(f"{self._name} stopped giving frames: was it unplugged?")
                return
            index += 1
            now = self._clock() - start
            # Streams without time stamps report zeros, and some repeat one.
            timestamp = now if now > timestamp else timestamp + 1 / self.fps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._capture.release()

    def _clock(self) -> float:
        """When the last frame was taken, in seconds of any origin."""
        return time.monotonic() if self.live else float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000


class LatestFrames:
    """The newest frame of a live source, each once: what a loop is too slow for is dropped, so that it never lags.

    A thread reads along from `__enter__` to `__exit__`. Frames keep their indices, so gaps tell what was dropped.
    """

    stills = False
    live = True
    length: int | None = None
    expected: int | None = None

    def __init__(self, source: Source) -> None:
        self.fps = source.fps
        self._source = source
        self._news = threading.Condition()
        self._frame: Frame | None = None
        self._error: Exception | None = None
        self._open = True
        self._reader = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        error: Exception | None = None
        try:
            for frame in self._source:
                with self._news:
                    if not self._open:
                        return
                    self._frame = frame
                    self._news.notify()
        except Exception as failure:  # told to whoever takes the frames
            error = failure
        with self._news:
            self._error, self._open = error, False
            self._news.notify()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._news:
                while self._frame is None and self._open:
                    self._news.wait()
                frame, self._frame = self._frame, None
                if frame is None:
                    if self._error is not None:
                        raise self._error
                    return
            yield frame

    def __enter__(self) -> Self:
        self._source.__enter__()
        self._reader.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._news:
            self._open = False
        self._reader.join(timeout=2)  # a camera that hangs is given up
        self._source.__exit__(kind, error, trace)


def list_cameras(most: int = 10) -> list[tuple[int, str]]:
    """(number, name) of the cameras that open, among the first numbers; no name where the system tells none."""
    found = []
    for index in range(most):
        capture = open_capture(index)
        if capture.isOpened():
            named = Path(f"/sys/class/video4linux/video{index}/name")
            found.append((index, named.read_text().strip() if named.is_file() else ""))
        capture.release()
    return found


class ImageSource:
    """Image files as frames."""

    fps = DEFAULT_FPS
    stills = True
    live = False

    def __init__(self, paths: list[Path]) -> None:
        """Take the files in the order given, which are read as they are asked for."""
        self._paths = paths
        self.length: int | None = len(paths)
        self.expected: int | None = len(paths)

    @classmethod
    def folder(cls, path: Path) -> ImageSource:
        """The images of a folder, by name. SourceError when it holds none."""
        paths = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
        if not paths:
            raise SourceError(f"{path} holds no images ({', '.join(IMAGE_SUFFIXES)})")
        return cls(paths)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        for path in self._paths:
            try:
                image = read_image(path)
            except SourceError as error:
                if len(self._paths) == 1:
                    raise
                _log.warning("skipped: %s", error)
                continue
            yield Frame(image, index / self.fps, index)
            index += 1
        if index == 0:
            raise SourceError(f"none of the {len(self._paths)} images in {self._paths[0].parent} can be read")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pass


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 BGR, turned upright by its EXIF data; SourceError when it cannot be read or is no image."""
    image: np.ndarray | None = None
    try:
        data = np.fromfile(path, np.uint8)  # not cv2.imread: that cannot open every path on Windows
        if data.size:
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except cv2.error:
        pass  # the header promises more pixels than OpenCV takes
    if image is None:
        raise SourceError(f"{path} is not an image that OpenCV reads, or is damaged")
    return image


def open_capture(source: int | str) -> cv2.VideoCapture:
    """Open a capture without OpenCV's and FFmpeg's own chatter: our error says it in one line."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    log: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 4.11 has the same functions one floor up
    level = log.getLogLevel()
    log.setLogLevel(0)  # silent
    try:
        return cv2.VideoCapture(source)
    finally:
        log.setLogLevel(level)
