"""Boxes around a rendered face, as labels and as a face detector would draw them."""

from __future__ import annotations

import numpy as np

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


def tight_box(landmarks: np.ndarray) -> Box:
    """Return the bounding rectangle of (98, 2) landmarks, hidden ones included."""
    (left, top), (right, bottom) = landmarks.min(axis=0), landmarks.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def detector_box(landmarks: np.ndarray, dense: np.ndarray, rng: np.random.Generator) -> Box:
    """Return a random box like those of detectors trained on WIDER FACE: forehead to chin, contour to contour.

    The extent is that of the (98, 2) landmarks and the (P, 2) dense points, which reach the forehead. The errors are
    those of detectors: about 4 % of the size in place and 7 % in size.
    """
    points = np.concatenate([landmarks, dense])
    low, high = points.min(axis=0), points.max(axis=0)
    size = (high - low) * np.exp(rng.normal(0, 0.07)) * np.exp(rng.normal(0, 0.03, 2))
    center = (low + high) / 2 + rng.normal(0, 0.04, 2) * (high - low)
    (left, top), (right, bottom) = center - size / 2, center + size / 2
    return float(left), float(top), float(right), float(bottom)
