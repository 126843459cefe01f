"""Where the schemes' mean shapes lie on the mean-face plane before anything is learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atpn.data.crops import compute_mean_shape
from atpn.data.store import SampleStore
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert, scheme_by_name

DENSE = "dense"
"""Source of training points that are all over the face and belong to no scheme."""
UNSEEN = "wflw98-without-ibug68"
"""The 30 WFLW points that iBUG's 68 lack: what a network that must not see those 68 may learn from."""
_FACES = 4000
"""Faces that a mean is taken over; more change nothing."""

_NUMBERS = np.arange(WFLW_98.count)
WITHOUT_IBUG = np.setdiff1d(_NUMBERS, convert(_NUMBERS[:, None], WFLW_98, IBUG_68))
"""Which they are."""


def converted(landmarks: np.ndarray, scheme: str) -> np.ndarray:
    """(..., 98, D) WFLW landmarks as another scheme's or as `UNSEEN`'s; ValueError for unknown ones."""
    if scheme == UNSEEN:
        return landmarks[..., WITHOUT_IBUG, :]
    return convert(landmarks, WFLW_98, scheme_by_name(scheme))


def mean_shapes(store: SampleStore, faces: np.ndarray, schemes: Sequence[str]) -> dict[str, np.ndarray]:
    """(N, 2) float32 mean shape of each scheme on the plane.

    The plane's coordinates are those of the crop around 98 landmarks, which the store's faces have: their mean lies on
    it as it is.
    """
    mean = compute_mean_shape(store.landmarks[faces[:_FACES]], store.scheme)
    return {scheme: converted(mean, scheme).astype(np.float32) for scheme in schemes}


def shared_points(first: str, second: str) -> tuple[list[int], list[int]]:
    """Indices of the landmarks that are one and the same WFLW point in two schemes, in one order."""
    numbers = _NUMBERS.astype(float)
    # A mean of two landmarks has not the mean square of one.
    sources = [converted(np.column_stack([numbers, numbers**2]), scheme) for scheme in (first, second)]
    single = [{int(n): i for i, (n, square) in enumerate(source) if n * n == square} for source in sources]
    both = sorted(single[0].keys() & single[1].keys())
    return [single[0][number] for number in both], [single[1][number] for number in both]


def affine_onto(points: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(M, 2) points moved by the affine map that brings (N, 2) source points closest to (N, 2) target points.

    ValueError when the source points lie on a line or are fewer than three.
    """
    design = np.column_stack([source, np.ones(len(source))])
    if np.linalg.matrix_rank(design) < 3:
        raise ValueError(f"an affine map needs three points off a line, got {len(source)} that have none")
    return np.column_stack([points, np.ones(len(points))]) @ np.linalg.lstsq(design, target, rcond=None)[0]
