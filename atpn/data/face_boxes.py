"""Face boxes: left, top, right, bottom in pixels, whose centers are at integers."""

from __future__ import annotations

import numpy as np

from edge_runtime.detector.detection import LANDMARKS_HEIGHT

Box = tuple[float, float, float, float]


def box_of(x: float, y: float, width: float, height: float) -> Box:
    """Return the box of `width` x `height` pixels whose first pixel is (x, y), counted from 0.

    Pixel centers are at integers, so the box's edges lie half a pixel outside its outermost pixel centers.
    """
    return x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5


def box_corners(box: Box) -> np.ndarray:
    """Return the (4, 2) corners of a box, clockwise from the top left."""
    left, top, right, bottom = box
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def landmarks_rectangle(box: Box) -> Box:
    """Return the part of a face box (hairline to chin) that the landmarks cover."""
    left, _, right, bottom = box
    return left, bottom - LANDMARKS_HEIGHT * (bottom - box[1]), right, bottom


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
