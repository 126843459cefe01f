"""Landmark schemes on the mean-face plane: conversions, shared points, affine placement."""

from __future__ import annotations

import numpy as np

from edge_runtime.landmarks import IBUG_68, WFLW_98, convert, scheme_by_name

DENSE = "dense"
"""Source of training points all over the face that belong to no scheme."""
WFLW_WITHOUT_IBUG = "wflw98-without-ibug68"
"""The 30 WFLW points that are not among iBUG's 68: training data for zero-shot evaluation on those 68."""

_NUMBERS = np.arange(WFLW_98.count)
WITHOUT_IBUG_INDICES = np.setdiff1d(_NUMBERS, convert(_NUMBERS[:, None], WFLW_98, IBUG_68))
"""Their indices."""


def converted(landmarks: np.ndarray, scheme: str) -> np.ndarray:
    """Convert (..., 98, D) WFLW landmarks to a scheme or `WFLW_WITHOUT_IBUG`; ValueError for unknown ones."""
    if scheme == WFLW_WITHOUT_IBUG:
        return landmarks[..., WITHOUT_IBUG_INDICES, :]
    return convert(landmarks, WFLW_98, scheme_by_name(scheme))


def shared_points(first: str, second: str) -> tuple[list[int], list[int]]:
    """Return indices of the landmarks that are the same WFLW point in two schemes, in the same order."""
    numbers = _NUMBERS.astype(float)
    # For a mean of two landmarks, the mean of squares is not the square of the mean.
    sources = [converted(np.column_stack([numbers, numbers**2]), scheme) for scheme in (first, second)]
    single = [{int(n): i for i, (n, square) in enumerate(source) if n * n == square} for source in sources]
    both = sorted(single[0].keys() & single[1].keys())
    return [single[0][number] for number in both], [single[1][number] for number in both]


def affine_onto(points: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Map (M, 2) points by the affine map that fits (N, 2) source points to (N, 2) target points best.

    ValueError if the source points are on a line, or fewer than three.
    """
    design = np.column_stack([source, np.ones(len(source))])
    if np.linalg.matrix_rank(design) < 3:
        raise ValueError(f"an affine map needs three points that are not on a line, got {len(source)} on a line")
    return np.column_stack([points, np.ones(len(points))]) @ np.linalg.lstsq(design, target, rcond=None)[0]
