"""Sinks of results: JSON lines and CSV.

Files are written under a temporary name and renamed when the sink closes. A run that ends early, by Ctrl-C or an error
elsewhere, keeps the frames written so far. If writing fails, as on a full disk, the temporary file is removed and an
earlier file is kept.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TextIO

from edge_runtime.errors import SinkError
from edge_runtime.face import Face
from edge_runtime.files import temporary_path
from edge_runtime.sources.source import Frame


class Sink(Protocol):
    """Writer of the results of consecutive frames; a context manager."""

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """Write a frame's faces. SinkError if they cannot be written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        return None


class _TextSink(Sink):
    """Text file that is renamed to its path at the end."""

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        check_parent(path)
        self._path = path
        self._partial = temporary_path(path)
        self._file: TextIO | None = None
        self._failed = False

    def _write(self, text: str) -> None:
        try:
            if self._file is None:
                self._file = self._partial.open("w", encoding="utf-8", newline="")
            self._file.write(text)
        except OSError as error:
            self._failed = True
            raise SinkError(f"cannot write to {self._path}: {error.strerror}") from error

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
            if not self._failed:  # a full disk truncates a line; other errors leave whole lines
                self._partial.replace(self._path)
        except OSError as failure:
            raise SinkError(f"cannot write to {self._path}: {failure.strerror}") from failure
        finally:
            self._partial.unlink(missing_ok=True)


class JsonLinesSink(_TextSink):
    """One JSON object per frame and line; see `frame_to_json`."""

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """See `Sink.write`."""
        self._write(frame_to_json(frame, faces) + "\n")


class JsonStreamSink(Sink):
    """One JSON object per frame and line to an open text stream, flushed for its reader; see `frame_to_json`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """See `Sink.write`."""
        try:
            print(frame_to_json(frame, faces), file=self._stream, flush=True)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._stream.close()  # else Python tries to write the rest when it exits
            raise SinkError(f"cannot write the results: {error.strerror}") from error


class CsvSink(_TextSink):
    """One row per face and frame, in pixels, seconds, and radians; a frame without a face has one with empty fields.

    Columns of a template's points come last: `point_x0`, `point_y0` … `point_sigma0` ….
    """

    _columns = (
        *("frame", "time", "file", "dropped"),
        *("id", "state", "confidence", "age", "pitch", "yaw", "roll", "cx", "cy", "size"),
    )

    def __init__(self, path: Path | str, landmarks: int = 98, points: int = 0) -> None:
        """Take the path, and the numbers of each face's landmarks and template points, for the columns."""
        super().__init__(path)
        self._landmarks, self._points = landmarks, points

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """See `Sink.write`."""
        if self._file is None:
            self._write_row([*self._columns, *_columns("", self._landmarks), *_columns("point_", self._points)])
        dropped = "" if frame.dropped is None else frame.dropped
        start = [frame.index, f"{frame.timestamp:.6f}", frame.name or "", dropped]
        for face in faces:
            self._write_row([*start, *self._fields(face)])
        if not faces:
            empty = len(self._columns) - len(start) + 3 * (self._landmarks + self._points)
            self._write_row([*start, *[""] * empty])

    def _fields(self, face: Face) -> list[object]:
        points = 0 if face.points is None else len(face.points)
        if (len(face.landmarks), points) != (self._landmarks, self._points):
            raise SinkError(
                f"cannot write a face with {len(face.landmarks)} landmarks and {points} points to {self._path}: its "
                f"columns are for {self._landmarks} and {self._points}; pass both numbers to CsvSink"
            )
        roi = face.roi
        numbers = [*face.pose.angles, roi.cx, roi.cy, roi.size, *face.landmarks.ravel(), *face.uncertainty]
        if face.points is not None and face.points_uncertainty is not None:
            numbers += [*face.points.ravel(), *face.points_uncertainty]
        return [face.id, face.state, f"{face.confidence:.5f}", face.age, *(f"{number:.4f}" for number in numbers)]

    def _write_row(self, fields: Sequence[object]) -> None:
        row = io.StringIO()
        csv.writer(row, lineterminator="\n").writerow(fields)  # quotes file names with commas
        self._write(row.getvalue())


def _columns(prefix: str, count: int) -> list[str]:
    """Return the columns of `count` points: x and y of each, then their sigmas."""
    positions = [f"{prefix}{axis}{i}" for i in range(count) for axis in "xy"]
    return [*positions, *(f"{prefix}sigma{i}" for i in range(count))]


def frame_to_json(frame: Frame, faces: Sequence[Face]) -> str:
    """Return a JSON object with `frame` (index), `time` (seconds), and `faces` (see `Face.to_dict`).

    A still image also has `file` (name), a frame of a live source `dropped` (frames dropped since the previous one).
    """
    record: dict[str, Any] = {"frame": frame.index, "time": round(frame.timestamp, 6)}
    if frame.name is not None:
        record["file"] = frame.name
    if frame.dropped is not None:
        record["dropped"] = frame.dropped
    record["faces"] = [face.to_dict() for face in faces]
    return json.dumps(record, separators=(",", ":"), allow_nan=False)


def check_parent(path: Path) -> None:
    """Raise SinkError if the folder of a file to write does not exist."""
    if not path.resolve().parent.is_dir():
        raise SinkError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
