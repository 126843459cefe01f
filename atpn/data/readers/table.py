"""CSV: a row per face with the columns `image`, `x0`, `y0`, `x1`, `y1` …, optionally `split` and `identity`.

The separator is a comma, a semicolon, or a tab, recognized by the header. With one of the latter two, numbers may have
a decimal comma, as spreadsheets write them. A byte order mark is skipped. An empty cell is an unlabeled point.
"""

from __future__ import annotations

import codecs
import csv
import re
from pathlib import Path

import numpy as np

from atpn.data.coordinates import IN_RANGE, MAX_COORDINATE
from atpn.data.readers.label_file import Complain, LabeledFace, LabeledImage, LabelError, LabelSet
from edge_runtime.reading import MAX_LABEL_BYTES, quote, read_bytes

SEPARATORS = {";": "a semicolon", "\t": "a tab", ",": "a comma"}
"""Separators and their names, the least likely inside a cell first."""
_COLUMN = re.compile(r"([xy])(\d{1,9})")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")


def parse_table(path: Path, complain: Complain) -> LabelSet:
    """Read a file; complain about rows that cannot be used."""
    lines = _text(path).splitlines()
    skipped = int(bool(lines) and lines[0].lower().startswith("sep="))  # a hint for spreadsheets
    header = lines[skipped] if len(lines) > skipped else ""
    separator = next((each for each in SEPARATORS if each in header), ",")
    name = SEPARATORS[separator]
    rows = csv.reader(lines[skipped:], delimiter=separator)
    columns = [cell.strip().lower() for cell in next(rows, [])]
    first, count = _landmark_columns(path, columns, name)
    places = {column: index for index, column in enumerate(columns)}
    faces: dict[str, list[LabeledFace]] = {}
    about: dict[str, tuple[str, str]] = {}
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{path} line {skipped + rows.line_num}"
        cells = [cell.strip() for cell in row]
        try:
            if len(cells) != len(columns):
                raise LabelError(_wrong_cells(cells, columns, separator))
            image, split, identity = (cells[places[c]] if c in places else "" for c in ("image", "split", "identity"))
            if not image:
                raise LabelError("the cell of column image is empty; write the image's path")
            split = split or "all"
            if about.setdefault(image, (where, split))[1] != split:
                earlier = quote(about[image][1])
                raise LabelError(
                    f"split {quote(split)} of {quote(image)}, which is of split {earlier} above; choose one"
                )
            numbers = range(first, first + count)
            values = [[_number(cells[places[f"{axis}{i}"]], f"{axis}{i}", name) for axis in "xy"] for i in numbers]
        except LabelError as error:
            complain(where, str(error))
            continue
        points = np.array(values)
        points[np.isnan(points).any(axis=1)] = np.nan
        faces.setdefault(image, []).append(LabeledFace(where, points, identity=identity))
    images = [
        LabeledImage(about[image][0], image, (path.parent, path.parent / "images"), tuple(rows), split=about[image][1])
        for image, rows in faces.items()
    ]
    return LabelSet(images)


def _text(path: Path) -> str:
    content = read_bytes(path, MAX_LABEL_BYTES, LabelError)
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise LabelError(f"{path} is not UTF-8 ({error}); save it as CSV UTF-8") from error


def _landmark_columns(path: Path, columns: list[str], separator: str) -> tuple[int, int]:
    """Return the number in the first landmark's columns, and the number of landmarks."""
    given = f"{quote(', '.join(columns[:6])) or 'none'}{' …' if len(columns) > 6 else ''} (separated by {separator})"
    if "image" not in columns:
        raise LabelError(f"{path} has no column image; its columns are {given}; expected image, x0, y0, x1, y1 …")
    if repeated := sorted({column for column in columns if column and columns.count(column) > 1}):
        raise LabelError(f"{path} has the columns {quote(', '.join(repeated))} more than once; rename them")
    found = [_COLUMN.fullmatch(column) for column in columns]
    numbers = {axis: sorted(int(m[2]) for m in found if m and m[1] == axis) for axis in "xy"}
    first, count = (numbers["x"] or [0])[0], len(numbers["x"])
    if not count or first > 1 or any(n != list(range(first, first + count)) for n in numbers.values()):
        raise LabelError(
            f"{path} has {count} columns x and {len(numbers['y'])} columns y; its columns are {given}; "
            "expected x0, y0, x1, y1 … without a gap"
        )
    return first, count


def _wrong_cells(cells: list[str], columns: list[str], separator: str) -> str:
    cause = "a number with a decimal comma needs another separator: save with semicolons"
    advice = cause if separator == "," and len(cells) > len(columns) else "correct the row"
    return f"{len(cells)} cells separated by {SEPARATORS[separator]}, expected {len(columns)}; {advice}"


def _number(cell: str, column: str, separator: str) -> float:
    if cell == "":
        return float("nan")
    try:
        value = float(cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell)
    except ValueError:
        value = float("inf")
    if not abs(value) <= MAX_COORDINATE:
        raise LabelError(
            f"column {column} is {quote(repr(cell))}, expected a number {IN_RANGE} or an empty cell "
            f"(separator: {separator})"
        )
    return value
