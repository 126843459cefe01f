"""Sinks of results: JSON lines and CSV.

Files are written under a temporary name and renamed when the sink closes. A run that ends early, by Ctrl-C or an error
elsewhere, keeps the frames written so far; without any frame, an earlier file is kept. If writing fails, as on a full
disk, the temporary file is removed and an earlier file is kept.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, TextIO

from edge_runtime.errors import SinkError
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.face import Face
from edge_runtime.files import Replacement
from edge_runtime.sources.source import Frame

_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Writer of the results of consecutive frames; a context manager."""

    def open(self) -> None:
        """Wait for the reader of a pipe, where nothing is lost by an interrupt yet; otherwise `write` waits for it.

        SinkError if the pipe cannot be opened.
        """
        return

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """Write a frame's faces. SinkError if they cannot be written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        return None


class _TextSink(Sink):
    """Text file that is renamed to its path at the end. It holds whole frames, wherever a run is interrupted."""

    def __init__(self, path: Path | str, head: str = "") -> None:
        """Take the path, and the text before the first frame. SinkError if no file can be written there."""
        self._path, self._head = Path(path), head
        self._replacement = Replacement(path)
        self._file: BinaryIO | None = None
        self._size = 0
        """Size of the whole frames, bytes."""
        self._failed = False

    def open(self) -> None:
        """See `Sink.open`."""
        if self._replacement.in_place and self._file is None:
            try:
                self._file = self._open()
            except OSError as error:
                raise SinkError(f"cannot write to {self._path}: {error.strerror}") from error

    def _write(self, text: str) -> None:
        """Write the text of one frame."""
        text = text if self._size else self._head + text
        content = text.encode(errors="surrogateescape")  # names of files are bytes
        try:
            if self._file is None:
                self._file = self._open()
            rest = memoryview(content)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._failed = True
            raise SinkError(f"cannot write to {self._path}: {error.strerror}") from error
        self._size += len(content)

    def _open(self) -> BinaryIO:
        # A pipe's reader wants each frame at once, and one that reads no more must not block closing. Opening a pipe
        # waits for its reader.
        return self._replacement.path.open("wb", buffering=0 if self._replacement.in_place else -1)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if self._failed or (self._size == 0 and error is not None):
                return
            if not self._replacement.in_place:
                with self._file or self._open() as file:
                    file.truncate(self._size)  # an interrupted frame is none
                    file.write(b"" if self._size else self._head.encode())
                self._replacement.commit()
        except OSError as failure:
            report_failure(f"cannot write to {self._path}: {failure.strerror}", failure, error)
        finally:
            if self._file is not None:
                with contextlib.suppress(OSError):  # the first error counts
                    self._file.close()
            self._replacement.discard()


def report_failure(message: str, failure: Exception | None, error: object) -> None:
    """Raise SinkError for a file that cannot be completed; log it if another error is the reason to close."""
    if isinstance(error, Exception):
        _log.warning("%s", message)
    else:
        raise SinkError(message) from failure


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

    Columns of a template's points follow the landmarks': `point_x0`, `point_y0` … `point_sigma0` …. Expressions come
    last, by ARKit's names, with `gaze_left_yaw`, `gaze_left_pitch` and the right eye's.
    """

    _columns = (
        *("frame", "time", "file", "dropped"),
        *("id", "state", "confidence", "age", "pitch", "yaw", "roll", "cx", "cy", "size"),
    )

    def __init__(self, path: Path | str, landmarks: int = 98, points: int = 0, expressions: bool = False) -> None:
        """Take the path, and what each face has, for the columns: numbers of landmarks and points, and expressions."""
        columns = [*self._columns, *_columns("", landmarks), *_columns("point_", points)]
        columns += _EXPRESSION_COLUMNS if expressions else ()
        super().__init__(path, _row(columns))
        self._landmarks, self._points, self._expressions = landmarks, points, expressions
        self._width = len(columns)

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """See `Sink.write`."""
        rows = [self._fields(face) for face in faces]
        dropped = "" if frame.dropped is None else frame.dropped
        start = [frame.index, f"{frame.timestamp:.6f}", frame.name or "", dropped]
        if not faces:
            rows = [[""] * (self._width - len(start))]
        self._write("".join(_row([*start, *fields]) for fields in rows))

    def _fields(self, face: Face) -> list[object]:
        points = 0 if face.points is None else len(face.points)
        if (len(face.landmarks), points) != (self._landmarks, self._points):
            raise SinkError(
                f"cannot write a face with {len(face.landmarks)} landmarks and {points} points to {self._path}: its "
                f"columns are for {self._landmarks} and {self._points}; pass both numbers to CsvSink"
            )
        if self._expressions and (face.expressions is None or face.gaze is None):
            raise SinkError(f"cannot write a face without expressions to {self._path}: its columns are for some")
        roi = face.roi
        numbers = [*face.pose.angles, roi.cx, roi.cy, roi.size, *face.landmarks.ravel(), *face.uncertainty]
        if face.points is not None and face.points_uncertainty is not None:
            numbers += [*face.points.ravel(), *face.points_uncertainty]
        if self._expressions and face.expressions is not None and face.gaze is not None:
            numbers += [*(face.expressions[name] for name in EXPRESSIONS), *face.gaze.ravel()]
        return [face.id, face.state, f"{face.confidence:.5f}", face.age, *(f"{number:.4f}" for number in numbers)]


_EXPRESSION_COLUMNS = (
    *EXPRESSIONS,
    *(f"gaze_{eye}_{angle}" for eye in ("left", "right") for angle in ("yaw", "pitch")),
)


def _row(fields: Sequence[object]) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow(fields)  # quotes file names with commas
    return row.getvalue()


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
