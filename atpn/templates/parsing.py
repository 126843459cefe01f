"""Parsers of points, edges, and indices from a command line or a table."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_runtime.reading import quote, read_text
from edge_runtime.template import MAX_POINTS

_NUMBER = r"(\d{1,9})"
"""Number of a point. int() refuses thousands of digits."""


def parse_points(texts: Sequence[str]) -> np.ndarray:
    """Parse words of "x,y" to (M, 2) float64; ValueError for a malformed word."""
    points = []
    for word in _words(texts):
        try:
            x, y = (float(part) for part in word.split(","))
        except ValueError:
            raise ValueError(
                f'{quote(repr(word))} is not a point; write x,y without a space, as in "0.31,0.42 0.5,0.6"'
            ) from None
        points.append((x, y))
    return np.array(points).reshape(-1, 2)


def read_points(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read (M, 2) float64 points and their names, if any, from a CSV table of x, y, and optional name.

    A header row is skipped; empty names are ignored. FileNotFoundError if there is no such file; ValueError if the
    table or a row is malformed.
    """
    if not path.exists():
        raise FileNotFoundError(f"no points file {path}; give a CSV with x, y, and optional name in each row")
    try:
        rows = [row for row in csv.reader(read_text(path).splitlines()) if any(row)]
    except csv.Error as error:
        raise ValueError(f"{path} is not a CSV table: {error}") from error
    if rows and [cell.strip().lower() for cell in rows[0][:2]] == ["x", "y"]:
        rows = rows[1:]
    points, names = [], []
    for number, row in enumerate(rows):
        try:
            points.append((float(row[0]), float(row[1])))
        except (ValueError, IndexError):
            raise ValueError(f"{path}: {quote(','.join(row))!r}, point {number}, is not x,y or x,y,name") from None
        names += [cell.strip() for cell in row[2:3] if cell.strip()]
    if names and len(names) != len(points):
        raise ValueError(f"{path} names {len(names)} of {len(points)} points; name all or none")
    return np.array(points).reshape(-1, 2), tuple(names)


def parse_edges(texts: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Parse words of "a-b" to pairs of indices; ValueError for a malformed word."""
    edges = []
    for word in _words(texts):
        if not (match := re.fullmatch(rf"{_NUMBER}-{_NUMBER}", word)):
            raise ValueError(f'{quote(repr(word))} is not an edge; write two point numbers as in "0-1 1-2"')
        edges.append((int(match[1]), int(match[2])))
    return tuple(edges)


def parse_indices(texts: Sequence[str]) -> tuple[int, ...]:
    """Parse numbers and ranges such as "0 4-8,12", keeping their order.

    ValueError for a malformed word, or more indices than a template has points.
    """
    indices: list[int] = []
    for word in _words([text.replace(",", " ") for text in texts]):
        match = re.fullmatch(rf"{_NUMBER}(?:-{_NUMBER})?", word)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(f'{quote(repr(word))} is not a point number or range; write them as in "0 4-8"')
        chosen = range(int(match[1]), int(match[2] or match[1]) + 1)
        if len(indices) + len(chosen) > MAX_POINTS:
            raise ValueError(f"{quote(repr(word))} makes more than {MAX_POINTS} points, the most of a template")
        indices += chosen
    return tuple(indices)


def parse_groups(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Parse words of "name=indices" to indices by name; ValueError for a malformed word."""
    groups = {}
    for word in _words(texts):
        name, equals, members = word.partition("=")
        if not name or not equals:
            raise ValueError(
                f'{quote(repr(word))} is not a group; write its name and points as in "outer=0-11 inner=12,14"'
            )
        groups[name] = parse_indices([members])
    return groups


def _words(texts: Sequence[str]) -> list[str]:
    return " ".join(texts).split()
