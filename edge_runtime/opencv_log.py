"""OpenCV's log, which would repeat what our errors say."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import cv2


@contextlib.contextmanager
def silent_opencv() -> Iterator[None]:
    """Turn off the log output of OpenCV and FFmpeg in this context."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    log: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 4.11 has the functions in cv2
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)
