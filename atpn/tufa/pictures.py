"""Points of a template drawn onto pictures."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

POINT, EDGE, INK = (80, 60, 255), (255, 255, 255), (60, 60, 60)
"""BGR."""
_BITS = 4
"""OpenCV draws at sixteenths of a pixel."""


def draw_points(
    picture: np.ndarray,
    points: np.ndarray,
    edges: Sequence[tuple[int, int]] = (),
    radius: float = 2.0,
    colour: tuple[int, int, int] = POINT,
    edge_colour: tuple[int, int, int] = EDGE,
) -> None:
    """Draw (M, 2) pixels, and lines between those that `edges` join, into an (H, W, 3) uint8 BGR picture."""
    fixed = np.round(np.clip(points, -32000, 32000) * 2**_BITS).astype(int)
    for a, b in edges:
        cv2.line(picture, tuple(map(int, fixed[a])), tuple(map(int, fixed[b])), edge_colour, 1, cv2.LINE_AA, _BITS)
    for x, y in fixed:
        centre, size = (int(x), int(y)), round(radius * 2**_BITS)
        cv2.circle(picture, centre, size, colour, cv2.FILLED, cv2.LINE_AA, _BITS)


def write_text(picture: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, int, int] = INK) -> None:
    """Small letters whose lower left corner is `at`."""
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
