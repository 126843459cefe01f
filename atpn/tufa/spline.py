"""From a face to the mean-face plane and back, by the places that its landmarks have on both."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RBFInterpolator

SMOOTHING = 1e-3
"""Weight of bending against passing through the landmarks, for coordinates in [0, 1] of a crop. Where lips are closed
two landmarks are one place, and a spline through both would fold. Of the powers of ten it carries exact points of
rendered faces best."""


def carry(points: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(M, 2) points moved by the thin-plate spline that takes (N, 2) source landmarks about onto (N, 2) target ones.

    All in [0, 1] of a crop or of the plane. Far from the landmarks the spline is affine. ValueError when the source
    landmarks lie on one line.
    """
    if np.linalg.matrix_rank(source - source.mean(axis=0), tol=1e-6) < 2:
        raise ValueError(f"the {len(source)} landmarks lie on one line; a map of the plane needs some beside it")
    return np.asarray(RBFInterpolator(source, target, kernel="thin_plate_spline", smoothing=SMOOTHING)(points))
