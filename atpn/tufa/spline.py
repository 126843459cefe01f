"""Warps between a face and the mean-face plane, defined by landmarks on both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import RBFInterpolator

from edge_runtime.geometry import ROI

SMOOTHING = 1e-3
"""Weight of bending against passing through the landmarks, for coordinates in [0, 1] of a crop. Two landmarks of closed
lips coincide, and an exact spline would fold there. The best power of ten for points of rendered faces."""


def warp_points(points: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Warp (M, 2) points by the thin-plate spline from (N, 2) source landmarks to (N, 2) target ones.

    All are in [0, 1] of a crop or of the plane. Far from the landmarks the spline is affine. ValueError if the source
    landmarks are on one line.
    """
    if np.linalg.matrix_rank(source - source.mean(axis=0), tol=1e-6) < 2:
        raise ValueError(f"cannot warp: all {len(source)} landmarks are on one line")
    return np.asarray(RBFInterpolator(source, target, kernel="thin_plate_spline", smoothing=SMOOTHING)(points))


def median_on_plane(points: Sequence[np.ndarray], landmarks: Sequence[np.ndarray], anchors: np.ndarray) -> np.ndarray:
    """Return the (M, 2) median place on the plane of (M, 2) points of faces, each warped by its (N, 2) landmarks.

    `anchors` (N, 2) are the landmarks on the plane; points and landmarks are in pixels. The thesis' affine map leaves
    expression and pose in the shape. A profile, whose far side is a line, would be an outlier in a mean.
    """
    shapes = []
    for face, known in zip(points, landmarks, strict=True):
        crop = ROI.from_landmarks(known)
        shapes.append(warp_points(crop.to_crop(face), crop.to_crop(known), anchors))
    return np.median(shapes, axis=0).astype(np.float32)
