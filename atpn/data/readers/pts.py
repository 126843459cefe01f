"""The .pts files of the iBUG group: landmarks as text, one per line, counted from pixel 1 as in MATLAB."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from atpn.data.coordinates import IN_RANGE, are_coordinates
from edge_runtime.reading import quote, read_text

FIRST_PIXEL = 1.0
"""Center of the first pixel in these files."""


def read_pts(path: Path, count: int = 68) -> np.ndarray:
    """Read (count, 2) float64 numbers as in the file; ValueError for anything but that many points in range."""
    text = read_text(path, errors="replace")
    head, brace, rest = text.partition("{")
    body, closed, _ = rest.partition("}")
    try:
        points = np.array(body.split(), np.float64).reshape(-1, 2)
    except ValueError as error:
        raise ValueError(f"{path} is not a .pts file: {quote(error)}") from error
    if not brace or not closed or len(points) != count or not are_coordinates(points):
        state = "is truncated" if brace and not closed else f"has {len(points)} points (expected {count} {IN_RANGE})"
        raise ValueError(f"{path} {state}; it begins {head.strip()[:40]!r}")
    return points
