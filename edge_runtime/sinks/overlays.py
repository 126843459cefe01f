"""Sinks of overlays: video, image, or folder of images.

A video is written under a temporary name and renamed when the sink closes. A run that ends early, by Ctrl-C or an
error elsewhere, keeps the frames written so far. Images are written atomically, one by one. Whether something can be
written is known when a sink is made.
"""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
import struct
from pathlib import Path
from typing import Protocol, Self

import cv2
import numpy as np

from edge_runtime.errors import SinkError
from edge_runtime.files import Replacement, check_writable, write_atomically
from edge_runtime.sinks.results import report_failure
from edge_runtime.sources.images import IMAGE_SUFFIXES
from edge_runtime.sources.source import Frame
from edge_runtime.sources.videos import MAX_FPS, open_capture

VIDEO_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
"""Containers and codecs that OpenCV's wheels can write."""
MAX_GAP_SECONDS = 60.0
"""Maximum time for which one frame is repeated: a wrong timestamp must not fill the disk."""
MIN_FREE_BYTES = 2**25
"""A video stops when its disk has less free space, so that it can still be completed."""
_log = logging.getLogger(__name__)


class OverlaySink(Protocol):
    """Writer of consecutive frames with their faces drawn; a context manager."""

    def write(self, frame: Frame, overlay: np.ndarray) -> None:
        """Write a frame's image with its faces drawn, (H, W, 3) uint8 BGR. SinkError if it cannot be written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        return None


def open_overlay_sink(path: Path | str, fps: float, length: int | None) -> OverlaySink:
    """Open a sink for overlays by the path's suffix: .mp4 or .avi video, image, or folder of images (no suffix).

    `fps` is the frame rate of a video, `length` the number of frames, None if unknown.

    Raises:
        SinkError: The suffix is not supported, an image would get several frames, or nothing can be written there.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in VIDEO_CODECS:
        return VideoSink(path, fps)
    if suffix in IMAGE_SUFFIXES and length == 1:
        return ImageSink(path)
    if suffix in IMAGE_SUFFIXES:
        raise SinkError(f"cannot save several frames to one image, {path}: use .mp4, .avi, or a folder")
    if suffix == "":
        return FolderSink(path)
    raise SinkError(f"cannot save an overlay as {suffix}: use {', '.join(VIDEO_CODECS)}, an image, or a folder")


class VideoSink(OverlaySink):
    """Overlays as a video that shows each frame from its timestamp on.

    The frame rate is constant, as OpenCV writes no other: a frame is repeated until the next one, and of several
    between two ticks, the last one is shown. The video has the size of its first frame, made even; frames of another
    size are letterboxed.
    """

    def __init__(self, path: Path, fps: float) -> None:
        """Take the path and the frame rate, which is rounded to 0.01 and limited to 1 to 240.

        SinkError if no file can be written there, or its disk is full.
        """
        self._path = path
        self._replacement = Replacement(path, keep_suffix=True)  # OpenCV chooses the container by it
        if self._replacement.in_place:
            raise SinkError(f"cannot write a video to {path}: it is a device or a pipe; give a file's name")
        try:
            self._check_space()
        except BaseException:
            self._replacement.discard()
            raise
        self._fps = round(min(max(fps, 1.0), MAX_FPS), 2)
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._start = 0.0
        self._pending = np.empty(0)
        """The frame to show from tick `_written` on, of this size."""
        self._written = 0
        self._repeats = 1

    def write(self, frame: Frame, overlay: np.ndarray) -> None:
        """See `OverlaySink.write`."""
        if self._writer is None:
            self._open(overlay.shape[1], overlay.shape[0])
            self._start = frame.timestamp
        else:
            ticks = round((frame.timestamp - self._start) * self._fps) - self._written
            most = math.ceil(MAX_GAP_SECONDS * self._fps)
            if ticks > most:
                _log.warning(
                    "%s: %.0f s without a frame are shortened to %.0f s", self._path, ticks / self._fps, MAX_GAP_SECONDS
                )
                self._start += (ticks - most) / self._fps
            self._write_pending(min(ticks, most))
        self._pending = self._fit(overlay)

    def _open(self, width: int, height: int) -> None:
        self._size = (width, height)
        codec = cv2.VideoWriter.fourcc(*VIDEO_CODECS[self._path.suffix.lower()])
        # Codecs want even sides.
        even = (width + width % 2, height + height % 2)
        self._writer = cv2.VideoWriter(str(self._replacement.path), codec, self._fps, even)
        if not self._writer.isOpened():
            self._writer = None
            raise SinkError(f"cannot write a {width} x {height} video to {self._path}")

    def _fit(self, overlay: np.ndarray) -> np.ndarray:
        """Return a copy of the video's size, its edge repeated to an even one."""
        width, height = self._size
        fitted = fit_into(overlay, self._size)
        return np.asarray(cv2.copyMakeBorder(fitted, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)).copy()

    def _write_pending(self, repeats: int) -> None:
        assert self._writer is not None
        for _ in range(repeats):
            self._check_space()
            self._writer.write(self._pending)
            self._written += 1
        self._repeats = max(1, repeats)

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._replacement.path.parent).free
        if free < MIN_FREE_BYTES:
            raise SinkError(
                f"cannot write more to {self._path}: {free / 1e6:.0f} MB are left on its disk; "
                "free some, or save elsewhere"
            )

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if self._writer is None:
                return
            if self._pending.size:
                # The last frame has no successor: it lasts as long as the one before it, at most half a second.
                self._repeats = min(self._repeats, math.ceil(self._fps / 2))
                for _ in range(self._repeats):
                    self._writer.write(self._pending)
                self._written += self._repeats
            self._writer.release()
            if self._written:
                self._complete(error)
        finally:
            self._replacement.discard()

    def _complete(self, error: object) -> None:
        # OpenCV's writer does not report a full disk.
        if not is_complete(self._replacement.path, self._written):
            report_failure(f"{self._path} could not be written completely: check the disk space", None, error)
            return
        try:
            self._replacement.commit()
        except OSError as failure:
            report_failure(f"cannot write {self._path}: {failure.strerror}", failure, error)


class ImageSink(OverlaySink):
    """Overlay of one image."""

    def __init__(self, path: Path) -> None:
        """Take the path. SinkError if no file can be written there."""
        replacement = Replacement(path)
        replacement.discard()
        if replacement.in_place:  # an image for a pipe would wait for its reader, and hold the signals to stop
            raise SinkError(f"cannot write an image to {path}: it is a device or a pipe; give a file's name")
        self._path = path

    def write(self, frame: Frame, overlay: np.ndarray) -> None:
        """See `OverlaySink.write`."""
        write_image(self._path, overlay)


class FolderSink(OverlaySink):
    """Overlays as PNG files in a folder, which is created if necessary.

    Their names are the frames' indices and, for still images, the names of these: `000003.png`, `000003_photo.png`.
    Other images in the folder stay, and a warning tells how many.
    """

    def __init__(self, path: Path) -> None:
        """Take the path and make the folder. SinkError if it cannot be made or written into."""
        self._path = path
        try:
            self._new = not path.exists()
            path.mkdir(exist_ok=True)
            self._others = {entry.name for entry in path.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES}
        except FileExistsError as error:
            raise SinkError(
                f"cannot save to {path}: it is not a folder; give a folder, .mp4, .avi, or image"
            ) from error
        except OSError as error:
            raise SinkError(f"cannot create the folder {path}: {error.strerror}") from error
        check_writable(path / "000000.png")
        self._written = False

    def write(self, frame: Frame, overlay: np.ndarray) -> None:
        """See `OverlaySink.write`."""
        stem = "" if frame.name is None else f"_{Path(frame.name).stem}"
        name = f"{frame.index:06d}{stem}.png"
        write_image(self._path / name, overlay)
        self._written = True
        self._others.discard(name)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._written and self._others:
            _log.warning("%s holds images that are not of this run: %d", self._path, len(self._others))
        if self._new and not self._written:
            with contextlib.suppress(OSError):  # others may have written into it
                self._path.rmdir()


def fit_into(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Letterbox an (H, W, 3) uint8 image to (width, height) on black; return it unchanged if it has that size."""
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = (max(1, math.floor(image.shape[1] * scale)), max(1, math.floor(image.shape[0] * scale)))
    canvas = np.zeros((height, width, 3), np.uint8)
    x, y = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas[y : y + inner[1], x : x + inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    return canvas


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image atomically, in the format of the path's suffix."""
    try:
        write_atomically(path, cv2.imencode(path.suffix, image)[1].tobytes())
    except SinkError:
        raise  # it says all
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}") from error


def is_complete(path: Path, frames: int) -> bool:
    """Return whether a .mp4 or .avi file is whole and has this number of frames, without decoding it.

    The sizes of its outermost chunks must add up to its own, and its index must count the frames.
    """
    size = path.stat().st_size if path.is_file() else 0
    return size > 0 and _chunks_end(path) == size and _count_frames(path) >= frames


def _chunks_end(path: Path) -> int:
    """Return the end that the sizes of a file's outermost chunks give, in bytes."""
    at = 0
    with path.open("rb") as file:
        while len(head := file.read(16)) >= 8:
            if path.suffix.lower() == ".avi":
                length = 8 + int(struct.unpack_from("<I", head, 4)[0])
            else:
                length = int(struct.unpack_from(">I", head)[0])
                if length == 1 and len(head) == 16:  # more than 4 GB
                    length = int(struct.unpack_from(">Q", head, 8)[0])
            at += max(8, length)
            file.seek(at)
    return at


def _count_frames(path: Path) -> float:
    """Return the number of frames in a video's index."""
    capture = open_capture(str(path))
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    capture.release()
    return float(count)
