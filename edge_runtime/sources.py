"""Sources of frames: camera, video, image, or folder of images."""

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
"""Frame rate of sources that report none: folders, some cameras and containers."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """One frame of a source."""

    image: np.ndarray
    """(H, W, 3) uint8 BGR."""
    timestamp: float
    """Seconds since the source's first frame."""
    index: int
    """Index of the frame, from 0."""


class Source(Protocol):
    """Iterable of frames, once and in order; a context manager that releases the device or file."""

    fps: float = DEFAULT_FPS
    """Nominal frames per second."""
    stills: bool = False
    """The frames are separate images: one image, or a folder."""
    length: int | None = None
    """Maximum number of frames; None if unknown."""
    expected: int | None = None
    """Number of frames reported by the source, for progress; None if unknown."""
    live: bool = False
    """Frames arrive in real time, as from a camera."""

    def __iter__(self) -> Iterator[Frame]: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        return None


def open_source(source: str) -> Source:
    """Open a camera by its number, or a video, image, or folder by its path.

    SourceError if it does not exist, cannot be read, or is empty.
    """
    if source.isdecimal():
        return VideoSource.camera(int(source))
    path = Path(source)
    if path.is_dir():
        return ImageSource.folder(path)
    if not path.is_file():
        raise SourceError(f"no such file: {source}; expected a camera number, video, image, or folder")
    if path.stat().st_size == 0:
        raise SourceError(f"{source} is empty")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource([path])
    return VideoSource.file(path)


class VideoSource(Source):
    """Video file or camera."""

    def __init__(self, capture: cv2.VideoCapture, name: str, live: bool) -> None:
        """Take ownership of an opened capture. SourceError if it has no first frame."""
        ok, first = capture.read()
        if not ok or first is None:
            capture.release()
            raise SourceError(f"{name} gives no frames: it is empty, damaged, or in use by another program")
        fps = capture.get(cv2.CAP_PROP_FPS)
        # Containers without a frame rate report 0, 1000, or NaN.
        self.fps = fps if 1 <= fps <= 240 else DEFAULT_FPS
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.expected = count if not live and 0 < count < 10**8 else None
        self._capture, self._name, self.live = capture, name, live
        self._first = first

    @classmethod
    def camera(cls, index: int) -> VideoSource:
        """Open a camera by its number, from 0. SourceError if there is none."""
        capture = open_capture(index)
        if not capture.isOpened():
            raise SourceError(f"no camera {index}: it is not connected, or access is denied; run with --list-cameras")
        return cls(capture, f"camera {index}", live=True)

    @classmethod
    def file(cls, path: Path) -> VideoSource:
        """Open a video file. SourceError if it cannot be read."""
        capture = open_capture(str(path))
        if not capture.isOpened():
            raise SourceError(f"{path} is not a video or image that OpenCV can read, or is damaged")
        return cls(capture, str(path), live=False)

    def __iter__(self) -> Iterator[Frame]:
        image, index, timestamp = self._first, 0, 0.0
        start = self._clock()
        while True:
            yield Frame(image, timestamp, index)
            ok, image = self._capture.read()
            if not ok or image is None:
                if self.live:
                    raise SourceError(f"{self._name} stopped giving frames; check its connection")
                return
            index += 1
            now = self._clock() - start
            # Some streams report zeros or repeat a timestamp.
            timestamp = now if now > timestamp else timestamp + 1 / self.fps

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._capture.release()

    def _clock(self) -> float:
        """Return the time of the last frame in seconds, from any origin."""
        return time.monotonic() if self.live else float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000


class LatestFrames(Source):
    """The newest frames of a live source; older ones are dropped if the consumer is slow.

    A thread reads frames from `__enter__` to `__exit__`. Frames keep their indices: a gap is a dropped frame.
    """

    live = True

    def __init__(self, source: Source) -> None:
        self.fps = source.fps
        self._source = source
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self._error: Exception | None = None
        self._open = True
        self._reader = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        error: Exception | None = None
        try:
            for frame in self._source:
                with self._condition:
                    if not self._open:
                        return
                    self._frame = frame
                    self._condition.notify()
        except Exception as failure:  # raised in the consumer
            error = failure
        with self._condition:
            self._error, self._open = error, False
            self._condition.notify()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._condition:
                while self._frame is None and self._open:
                    self._condition.wait()
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
        with self._condition:
            self._open = False
        self._reader.join(timeout=2)  # a camera may hang
        self._source.__exit__(kind, error, trace)


def list_cameras(count: int = 10) -> list[tuple[int, str]]:
    """Return (number, name) of the cameras among the first `count` numbers that open; "" if the name is unknown."""
    found = []
    for index in range(count):
        capture = open_capture(index)
        if capture.isOpened():
            named = Path(f"/sys/class/video4linux/video{index}/name")
            found.append((index, named.read_text().strip() if named.is_file() else ""))
        capture.release()
    return found


class ImageSource(Source):
    """Image files as frames, read during iteration."""

    stills = True

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self.length = self.expected = len(paths)

    @classmethod
    def folder(cls, path: Path) -> ImageSource:
        """Open the images of a folder, sorted by name. SourceError if it has none."""
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


def read_image(path: Path) -> np.ndarray:
    """Read an image as (H, W, 3) uint8 BGR, rotated by its EXIF orientation. SourceError if it cannot be read."""
    image: np.ndarray | None = None
    try:
        data = np.fromfile(path, np.uint8)  # not cv2.imread: that cannot open every path on Windows
        if data.size:
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except cv2.error:
        pass  # too many pixels for OpenCV
    if image is None:
        raise SourceError(f"{path} is not an image that OpenCV can read, or is damaged")
    return image


def open_capture(source: int | str) -> cv2.VideoCapture:
    """Open a capture without log output of OpenCV and FFmpeg."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    log: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 4.11 has the functions in cv2
    level = log.getLogLevel()
    log.setLogLevel(0)  # silent
    try:
        return cv2.VideoCapture(source)
    finally:
        log.setLogLevel(level)
