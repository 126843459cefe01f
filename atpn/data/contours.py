"""The curves of a face along which landmarks are spaced: jaw, brows, nose, lids, lips.

Labels agree on where a curve is, but along it only on its ends and corners. STAR loss and Semantic Alignment address
this ambiguity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from edge_runtime.landmarks import LandmarkScheme


@dataclass(frozen=True)
class Contour:
    """Landmarks in their order along one curve."""

    part: str
    """jaw, brow, nose, lid or lip."""
    indices: tuple[int, ...]
    closed: bool = False
    """Whether the last point's neighbor is the first."""
    corners: tuple[int, ...] = ()
    """Landmarks on it whose place along it is well defined: ends and corners."""


def _run(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


CONTOURS: Mapping[str, tuple[Contour, ...]] = MappingProxyType(
    {
        "wflw98": (
            Contour("jaw", _run(0, 32)),
            Contour("brow", _run(33, 41), True, (33, 37, 38)),
            Contour("brow", _run(42, 50), True, (42, 46, 50)),
            Contour("nose", _run(51, 54), corners=(54,)),
            Contour("lid", _run(60, 67), True, (60, 64)),
            Contour("lid", _run(68, 75), True, (68, 72)),
            Contour("lip", _run(76, 87), True, (76, 82)),
            Contour("lip", _run(88, 95), True, (88, 92)),
        ),
        "ibug68": (
            Contour("jaw", _run(0, 16)),
            Contour("brow", _run(17, 21), corners=(17, 21)),
            Contour("brow", _run(22, 26), corners=(22, 26)),
            Contour("nose", _run(27, 30), corners=(30,)),
            Contour("lid", _run(36, 41), True, (36, 39)),
            Contour("lid", _run(42, 47), True, (42, 45)),
            Contour("lip", _run(48, 59), True, (48, 54)),
            Contour("lip", _run(60, 67), True, (60, 64)),
        ),
    }
)
"""Curves by scheme; a landmark lies on at most one."""


def get_contours(scheme: LandmarkScheme) -> tuple[Contour, ...]:
    """Return the scheme's curves; ValueError for a scheme without any."""
    if scheme.name not in CONTOURS:
        raise ValueError(f"no contours for scheme {scheme.name}; known: {', '.join(CONTOURS)}")
    return CONTOURS[scheme.name]


def sliding(scheme: LandmarkScheme) -> np.ndarray:
    """Return an (N,) bool mask of the landmarks on a curve that are not its corners; ValueError as `get_contours`."""
    mask = np.zeros(scheme.count, bool)
    for contour in get_contours(scheme):
        mask[[i for i in contour.indices if i not in contour.corners]] = True
    return mask


def neighbors(scheme: LandmarkScheme) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) indices of the landmarks before and after each along its curve (the landmark itself at open ends).

    Their difference is the curve's tangent, and zero for a landmark on no curve. ValueError as `get_contours`.
    """
    before, after = np.arange(scheme.count), np.arange(scheme.count)
    for contour in get_contours(scheme):
        indices = np.array(contour.indices)
        before[indices[1:]], after[indices[:-1]] = indices[:-1], indices[1:]
        if contour.closed:
            before[indices[0]], after[indices[-1]] = indices[-1], indices[0]
    return before, after


def slide(points: np.ndarray, distance: np.ndarray, closed: bool) -> np.ndarray:
    """Move each of the (n, 2) points of a curve by its (n,) distance along the polyline through all of them.

    Distances have the points' unit. An open curve is extended straight beyond its ends.
    """
    if closed:
        # Repeated once on either side, for points that slide over the seam.
        points, places = np.concatenate([points, points, points, points[:1]]), np.arange(len(points)) + len(points)
    else:
        ends = (2 * points[0] - points[1], 2 * points[-1] - points[-2])
        points, places = np.concatenate([ends[:1], points, ends[1:]]), np.arange(len(points)) + 1
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    targets = along[places] + distance
    return np.column_stack([np.interp(targets, along, points[:, axis]) for axis in (0, 1)])
