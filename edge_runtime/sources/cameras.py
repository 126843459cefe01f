"""Cameras: by number, and the Raspberry Pi's camera by picamera2."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import SourceError, first_line
from edge_runtime.reading import quote
from edge_runtime.sources.source import DEFAULT_FPS, CameraRequest, Frame, Source
from edge_runtime.sources.videos import VideoSource, open_capture

PICAMERA_SIZE = (640, 480)
"""Size of picamera2's frames if none is asked for, pixels."""
_MAX_DIGITS = 9
"""Maximum length of a camera's number; OpenCV takes 32 bits."""
_log = logging.getLogger(__name__)


class PicameraSource(Source):
    """Camera of a Raspberry Pi, by the library picamera2."""

    live = True

    def __init__(self, index: int, request: CameraRequest) -> None:
        """Start a camera. SourceError if it is absent or in use, or the library is not installed."""
        try:
            from picamera2 import Picamera2  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise SourceError(
                "picamera2 is not installed: run `sudo apt install python3-picamera2`, and make the virtual "
                "environment with --system-site-packages"
            ) from error
        size = PICAMERA_SIZE if request.width is None else (request.width, request.height)
        # picamera2 names formats by their order in a word: RGB888 is B, G, R in memory.
        settings: dict[str, Any] = {"main": {"size": size, "format": "RGB888"}}
        if request.fps is not None:
            settings["controls"] = {"FrameRate": request.fps}
        self._camera: Any = None
        try:
            self._camera = Picamera2(index)
            self._camera.configure(self._camera.create_video_configuration(**settings))
            self._camera.start()
            self._first = np.asarray(self._camera.capture_array())
        except Exception as error:  # the library has no errors of its own
            self._close()
            raise SourceError(
                f"cannot open camera {index} by picamera2: {first_line(error)}; "
                "check it with `rpicam-hello --list-cameras`"
            ) from error
        self._start = time.monotonic()
        self._name = f"picamera2:{index}"
        self.fps = request.fps or DEFAULT_FPS

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames in pixels."""
        return self._first.shape[1], self._first.shape[0]

    def __iter__(self) -> Iterator[Frame]:
        image, index, timestamp = self._first, 0, 0.0
        while True:
            yield Frame(image, timestamp, index)
            try:
                image = np.asarray(self._camera.capture_array())
            except Exception as error:
                raise SourceError(f"{self._name} stopped giving frames: {first_line(error)}") from error
            timestamp, index = time.monotonic() - self._start, index + 1

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._camera is None:
            return
        for step in (self._camera.stop, self._camera.close):
            with contextlib.suppress(Exception):  # of a camera that was unplugged
                step()


def open_camera(name: str, request: CameraRequest) -> VideoSource | PicameraSource | None:
    """Open a camera by its name: a number, a device as `/dev/video0`, or `picamera2:` and a number.

    Returns:
        The camera; None if the name is not a camera's. A warning says if it does not give what was requested.

    Raises:
        SourceError: The camera is absent, or gives no frames.
    """
    camera: VideoSource | PicameraSource
    if picamera := re.fullmatch(r"picamera2(?::(\d{1,9}))?", name):
        camera = PicameraSource(int(picamera[1] or 0), request)
    elif device := re.fullmatch(r"/dev/video(\d{1,9})", str(Path(name).resolve()) if name.startswith("/dev/") else ""):
        camera = VideoSource.camera(int(device[1]), request)
    elif name.isdecimal():
        if len(name) > _MAX_DIGITS:
            raise SourceError(f"no camera {quote(name)}: a number has at most {_MAX_DIGITS} digits")
        camera = VideoSource.camera(int(name), request)
    else:
        return None
    width, height = camera.size
    wrong_size = request.width is not None and (request.width, request.height) != camera.size
    if wrong_size or (request.fps is not None and abs(request.fps - camera.fps) > 0.01 * request.fps):
        _log.warning("camera %s gives %d x %d at %g fps; requested: %s", name, width, height, camera.fps, request)
    return camera


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
