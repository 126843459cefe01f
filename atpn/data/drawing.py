"""Drawing of points, lines, and letters onto images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.files import write_atomically

POINT, EDGE, INK = (80, 60, 255), (255, 255, 255), (60, 60, 60)
"""BGR."""
BITS = 4
"""OpenCV draws at sixteenths of a pixel."""


def draw_points(
    image: np.ndarray,
    points: np.ndarray,
    edges: Sequence[tuple[int, int]] = (),
    radius: float = 2.0,
    color: tuple[int, int, int] = POINT,
    edge_color: tuple[int, int, int] = EDGE,
) -> None:
    """Draw (M, 2) pixels, and lines for their `edges`, into an (H, W, 3) uint8 BGR image."""
    for a, b in edges:
        draw_edge(image, points[a], points[b], edge_color)
    for point in points:
        cv2.circle(image, fixed_point(point), round(radius * 2**BITS), color, cv2.FILLED, cv2.LINE_AA, BITS)


def draw_edge(image: np.ndarray, start: np.ndarray, end: np.ndarray, color: tuple[int, int, int]) -> None:
    """Draw a thin line between two pixels (x, y)."""
    cv2.line(image, fixed_point(start), fixed_point(end), color, 1, cv2.LINE_AA, BITS)


def fixed_point(pixel: np.ndarray) -> tuple[int, int]:
    """Return x and y in sixteenths of a pixel, limited to what OpenCV takes."""
    x, y = np.rint(np.clip(pixel, -32000, 32000) * 2**BITS)
    return int(x), int(y)


def write_text(image: np.ndarray, text: str, at: tuple[int, int], color: tuple[int, int, int] = INK) -> None:
    """Write small letters whose lower left corner is `at`."""
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, 1, cv2.LINE_AA)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image file atomically, in the format of its suffix; ValueError if the suffix is not that of an image."""
    try:
        _, encoded = cv2.imencode(path.suffix, image)
    except cv2.error:
        raise ValueError(f"{path} is not an image's name; end it with .png or .jpg") from None
    write_atomically(path, encoded.tobytes())
