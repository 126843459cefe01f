"""Sources of frames: camera, network stream, video, image, or folder of images."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from edge_runtime.errors import SourceError
from edge_runtime.reading import quote
from edge_runtime.sources.cameras import PicameraSource, list_cameras, open_camera
from edge_runtime.sources.images import IMAGE_SUFFIXES, ImageSource, count_images, is_image, open_image, read_image
from edge_runtime.sources.live import LatestFrames
from edge_runtime.sources.reconnection import ReconnectingSource
from edge_runtime.sources.source import DEFAULT_FPS, CameraRequest, Frame, Source
from edge_runtime.sources.videos import VideoSource, open_capture

__all__ = [
    "DEFAULT_FPS",
    "IMAGE_SUFFIXES",
    "Frame",
    "ImageSource",
    "LatestFrames",
    "PicameraSource",
    "Source",
    "VideoSource",
    "list_cameras",
    "open_capture",
    "open_source",
    "read_image",
]
_EXPECTED = (
    "expected a camera number, /dev/video0, picamera2:0, rtsp:// or http:// URL, GStreamer pipeline, video, image, "
    "or folder"
)


def open_source(
    source: str | int | Path, *, width: int | None = None, height: int | None = None, fps: float | None = None
) -> Source:
    """Open a camera, network stream, video, image, or folder of images.

    Live sources give the newest frame (see `LatestFrames`); files give every frame. What a file holds is decided by
    its content, not by its name. A network camera that stops is opened again (see `ReconnectingSource`).

    Args:
        source: A path; a camera number, `/dev/video0`, or `picamera2:0`; a URL as `rtsp://…` or `http://…`; or a
            GStreamer pipeline, which has ` ! ` between its elements. A path that exists comes first.
        width: Width in pixels that a camera is asked for; it may give another.
        height: Height in pixels that a camera is asked for.
        fps: Frames per second that a camera is asked for.

    Raises:
        SourceError: The source does not exist, cannot be read, or is empty, or is not a camera and a size or rate was
            requested.
        ValueError: The requested size or rate is not positive.
    """
    source, request = str(source), CameraRequest(width, height, fps)
    if "\0" in source:
        raise SourceError(f"no such file: {quote(source)!r}; {_EXPECTED}")
    path = Path(source) if os.path.exists(source) else None  # noqa: PTH110, Path.exists raises for long names
    opened: Source | None = None
    if path is None or stat.S_ISCHR(path.stat().st_mode):
        opened = open_camera(source, request)
    if opened is None and request:
        raise SourceError(f"cannot request {request} of {source}: only cameras have a width, height, and fps to choose")
    if opened is None:
        opened = _open_address(source) if path is None else _open_path(path)
    return LatestFrames(opened) if opened.live else opened


def _open_address(source: str) -> Source:
    if re.match(r"[a-z][a-z0-9+.-]*://", source, re.IGNORECASE):
        stream = VideoSource.stream(source)
        return ReconnectingSource(stream, lambda: VideoSource.stream(source)) if stream.live else stream
    if " ! " in source:
        return VideoSource.pipeline(source)
    several = "; for numbered images, give their folder" if re.search(r"[%*?]", source) else ""
    raise SourceError(f"no such file: {quote(source)}; {_EXPECTED}{several}")


def _open_path(path: Path) -> Source:
    if path.is_dir():
        return ImageSource.folder(path)
    if not path.is_file():
        raise SourceError(f"{path} is not a regular file; {_EXPECTED}")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty")
    # OpenCV's video reader gives GIF and PNG their frames' times.
    with path.open("rb") as file:
        head = file.read(4096)
    animated = head.startswith(b"GIF8") and count_images(path) != 1
    animated = animated or (head.startswith(b"\x89PNG") and b"acTL" in head)
    return VideoSource.file(path) if animated or not is_image(path) else open_image(path)
