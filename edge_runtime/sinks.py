"""Sinks of results: overlay video, overlay images, JSON lines, CSV.

Videos and text files are written under a temporary name and renamed when the sink closes. A run that ends early, by
Ctrl-C or an error elsewhere, keeps the frames written so far. If writing fails, as on a full disk, the temporary file
is removed and an earlier file is kept. Images are written atomically, one by one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self, TextIO

import cv2
import numpy as np

from edge_runtime.errors import SinkError
from edge_runtime.face import Face
from edge_runtime.files import write_atomically
from edge_runtime.sources import IMAGE_SUFFIXES, Frame, open_capture

VIDEO_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
"""Containers and codecs that OpenCV's wheels can write."""


class Sink(Protocol):
    """Writer of the results of consecutive frames; a context manager."""

    def write(self, frame: Frame, faces: Sequence[Face], overlay: np.ndarray) -> None:
        """Write a frame, its faces, and its image with the faces drawn. SinkError if it cannot be written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        return None


def open_overlay_sink(path: Path, fps: float, length: int | None) -> Sink:
    """Open a sink for overlays by the path's suffix: .mp4 or .avi video, image, or folder of images (no suffix).

    `fps` is the frame rate of a video, `length` the number of frames, None if unknown.

    Raises:
        SinkError: The suffix is not supported, an image would get several frames, or the parent folder does not exist.
    """
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


class VideoSink(Sink):
    """Overlays as a video of the first frame's size; frames of another size are letterboxed."""

    def __init__(self, path: Path, fps: float) -> None:
        _check_parent(path)
        self._path, self._fps = path, fps
        self._partial = path.with_name(f"{path.stem}.partial{path.suffix}")
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._written = 0

    def write(self, frame: Frame, faces: Sequence[Face], overlay: np.ndarray) -> None:
        """See `Sink.write`."""
        if self._writer is None:
            self._size = (overlay.shape[1], overlay.shape[0])
            codec = cv2.VideoWriter.fourcc(*VIDEO_CODECS[self._path.suffix.lower()])
            self._writer = cv2.VideoWriter(str(self._partial), codec, self._fps, self._size)
            if not self._writer.isOpened():
                self._partial.unlink(missing_ok=True)
                raise SinkError(f"cannot write a {self._size[0]} x {self._size[1]} video to {self._path}")
        self._writer.write(fit_into(overlay, self._size))
        self._written += 1

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._writer is None:
            return
        self._writer.release()
        # OpenCV's writer does not report a full disk: check that every frame can be read.
        readable = _count_frames(self._partial)
        if readable >= self._written:
            self._partial.replace(self._path)
            return
        self._partial.unlink(missing_ok=True)
        if not isinstance(error, Exception):  # other errors have their own message; Ctrl-C may end a recording
            raise SinkError(
                f"{self._path} could not be written ({readable} of {self._written} frames read back): "
                "check the disk space"
            )


class ImageSink(Sink):
    """Overlay of one image."""

    def __init__(self, path: Path) -> None:
        _check_parent(path)
        self._path = path

    def write(self, frame: Frame, faces: Sequence[Face], overlay: np.ndarray) -> None:
        """See `Sink.write`."""
        write_image(self._path, overlay)


class FolderSink(ImageSink):
    """Overlays as numbered PNG files in a folder, which is created if necessary."""

    def write(self, frame: Frame, faces: Sequence[Face], overlay: np.ndarray) -> None:
        """See `Sink.write`."""
        try:
            self._path.mkdir(exist_ok=True)
        except OSError as error:
            raise SinkError(f"cannot create the folder {self._path}: {error.strerror}") from error
        write_image(self._path / f"{frame.index:06d}.png", overlay)


class _TextSink(Sink):
    """Text file that is renamed to its path at the end."""

    def __init__(self, path: Path) -> None:
        _check_parent(path)
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._file: TextIO | None = None

    def _write(self, text: str) -> None:
        try:
            if self._file is None:
                self._file = self._partial.open("w", encoding="utf-8", newline="")
            self._file.write(text)
        except OSError as error:
            raise SinkError(f"cannot write to {self._path}: {error.strerror}") from error

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
            if not isinstance(error, SinkError):  # a full disk truncates a line; other errors leave whole lines
                self._partial.replace(self._path)
        except OSError as failure:
            raise SinkError(f"cannot write to {self._path}: {failure.strerror}") from failure
        finally:
            self._partial.unlink(missing_ok=True)


class JsonLinesSink(_TextSink):
    """One JSON object per frame and line; see `frame_to_json`."""

    def write(self, frame: Frame, faces: Sequence[Face], overlay: np.ndarray) -> None:
        """See `Sink.write`."""
        self._write(frame_to_json(frame, faces) + "\n")


class CsvSink(_TextSink):
    """One line per face and frame, in pixels, seconds, and radians.

    Columns of a template's points come last: `point_x0`, `point_y0` … `point_sigma0` ….
    """

    _columns = ("frame", "time", "id", "state", "confidence", "age", "pitch", "yaw", "roll", "cx", "cy", "size")

    def write(self, frame: Frame, faces: Sequence[Face], overlay: np.ndarray) -> None:
        """See `Sink.write`."""
        for face in faces:
            if self._file is None:
                header = [*self._columns, *_columns("", len(face.landmarks))]
                header += [] if face.points is None else _columns("point_", len(face.points))
                self._write(",".join(header) + "\n")
            roi = face.roi
            numbers = [*face.pose.angles, roi.cx, roi.cy, roi.size, *face.landmarks.ravel(), *face.uncertainty]
            if face.points is not None and face.points_uncertainty is not None:
                numbers += [*face.points.ravel(), *face.points_uncertainty]
            start = f"{frame.index},{frame.timestamp:.6f},{face.id},{face.state},{face.confidence:.5f},{face.age}"
            self._write(",".join([start, *(f"{number:.4f}" for number in numbers)]) + "\n")


def _columns(prefix: str, count: int) -> list[str]:
    """Return the columns of `count` points: x and y of each, then their sigmas."""
    positions = [f"{prefix}{axis}{i}" for i in range(count) for axis in "xy"]
    return [*positions, *(f"{prefix}sigma{i}" for i in range(count))]


def frame_to_json(frame: Frame, faces: Sequence[Face]) -> str:
    """Return a JSON object with `frame` (index), `time` (seconds), and `faces` (see `Face.to_dict`)."""
    record = {"frame": frame.index, "time": round(frame.timestamp, 6), "faces": [face.to_dict() for face in faces]}
    return json.dumps(record, separators=(",", ":"), allow_nan=False)


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
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}") from error


def _count_frames(path: Path) -> int:
    capture = open_capture(str(path))
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count


def _check_parent(path: Path) -> None:
    if not path.resolve().parent.is_dir():
        raise SinkError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
