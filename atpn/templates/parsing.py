"""Points, edges and indices as one writes them on a command line or in a table."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def parse_points(texts: Sequence[str]) -> np.ndarray:
    """Words of "x,y" to (M, 2) float64; ValueError names the word that is none."""
    points = []
    for word in _words(texts):
        try:
            x, y = (float(part) for part in word.split(","))
        except ValueError:
            raise ValueError(f'{word!r} is no point; write x,y without a space, as in "0.31,0.42 0.5,0.6"') from None
        points.append((x, y))
    return np.array(points).reshape(-1, 2)


def read_points(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """(M, 2) float64 points and their names, if any, of a CSV table: x, y and perhaps a name in each row.

    A first row of headings is passed over, and an empty name is none. FileNotFoundError or ValueError names
    the file and the row.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no table of points at {path}; write a CSV with x, y and perhaps a name in each row")
    try:
        rows = [row for row in csv.reader(path.read_text("utf-8-sig").splitlines()) if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV table: {error}") from error
    if rows and [cell.strip().lower() for cell in rows[0][:2]] == ["x", "y"]:
        rows = rows[1:]
    points, names = [], []
    for number, row in enumerate(rows):
        try:
            points.append((float(row[0]), float(row[1])))
        except (ValueError, IndexError):
            raise ValueError(f"{path}: {','.join(row)!r}, point {number}, is not x,y or x,y,name") from None
        names += [cell.strip() for cell in row[2:3] if cell.strip()]
    if names and len(names) != len(points):
        raise ValueError(f"{path} names {len(names)} of {len(points)} points; name all or none")
    return np.array(points).reshape(-1, 2), tuple(names)


def parse_edges(texts: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Words of "a-b" to pairs of indices; ValueError names the word that is none."""
    edges = []
    for word in _words(texts):
        if not (found := re.fullmatch(r"(\d+)-(\d+)", word)):
            raise ValueError(f'{word!r} is no edge; write two point numbers as in "0-1 1-2"')
        edges.append((int(found[1]), int(found[2])))
    return tuple(edges)


def parse_indices(texts: Sequence[str]) -> tuple[int, ...]:
    """Numbers and ranges, as in "0 4-8,12", in the order given; ValueError names the word that is none."""
    indices: list[int] = []
    for word in _words([text.replace(",", " ") for text in texts]):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        if not found or int(found[2] or found[1]) < int(found[1]):
            raise ValueError(f'{word!r} is no point number or range; write them as in "0 4-8"')
        indices += range(int(found[1]), int(found[2] or found[1]) + 1)
    return tuple(indices)


def parse_groups(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Words of "name=indices" to indices by name; ValueError names the word that is none."""
    groups = {}
    for word in _words(texts):
        name, equals, members = word.partition("=")
        if not name or not equals:
            raise ValueError(f'{word!r} is no group; write its name and points as in "outer=0-11 inner=12,14"')
        groups[name] = parse_indices([members])
    return groups


def _words(texts: Sequence[str]) -> list[str]:
    return " ".join(texts).split()
