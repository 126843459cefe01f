"""Dense points all over the face, with their places on the mean face: labels for any template."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from atpn.synthetic.heads.head import HeadModel, Part, SurfacePoints
from atpn.synthetic.heads.surface import sample_surface
from edge_runtime.geometry import ROI

DENSE_COUNT = 520
_CANDIDATES = 30_000
_FACING = 0.25
"""Minimum cosine to the line of sight: beyond it, two places of the skin may share one on the plane."""


@dataclass(frozen=True)
class DenseSet:
    """Semantic points of one head model: the same places of the face in every image."""

    points: SurfacePoints
    """(P,) on the skin, from the chin to above the brows."""
    plane: np.ndarray
    """(P, 2) float32 on the mean-face plane: the neutral face in orthographic projection along its own axis, in
    coordinates of the crop rule around its 98 landmarks. Query points (thesis, section 6.2.1) lie on the same plane."""

    @staticmethod
    def of(head: HeadModel, count: int = DENSE_COUNT) -> DenseSet:
        """Return evenly spread points (farthest-point sampling on the neutral skin), the same for each call."""
        landmarks = head.landmarks.at(head.neutral)[:, :2]
        normals = head.normals(head.neutral)
        skin = head.triangles[(head.part[head.triangles] == Part.SKIN).all(axis=1)]
        candidates = sample_surface(head.neutral, skin, _CANDIDATES, np.random.default_rng(0))
        places = candidates.at(head.neutral)
        facing = -candidates.at(normals)[:, 2] > _FACING
        # The face: inside the contour, and above the brows as far as the brows are above the eyes' line.
        lift = np.array([0.0, landmarks[60:76, 1].mean() - landmarks[33:51, 1].min()])
        hull = ConvexHull(np.concatenate([landmarks, landmarks[33:51] - lift]))
        inside = (places[:, :2] @ hull.equations[:, :2].T + hull.equations[:, 2] <= 0).all(axis=1)
        # Of overlapping surfaces, such as lips and the skin under them, only the front is kept.
        kept = np.flatnonzero(facing & inside & _in_front(places))
        chosen = kept[_farthest(places[kept], count)]
        plane = ROI.from_landmarks(landmarks).to_crop(places[chosen, :2]).astype(np.float32)
        return DenseSet(
            SurfacePoints(candidates.vertices[chosen], candidates.weights[chosen].astype(np.float32)), plane
        )


def _in_front(places: np.ndarray, cell: float = 0.4, slack: float = 0.6) -> np.ndarray:
    """Return (N,) bool: whether no other of the (N, 3) places lies well before it in the same cell (centimeters)."""
    cells = np.floor(places[:, :2] / cell).astype(int)
    _, cell_of = np.unique(cells, axis=0, return_inverse=True)
    nearest = np.full(cell_of.max() + 1, np.inf)
    np.minimum.at(nearest, cell_of.ravel(), places[:, 2])
    return places[:, 2] < nearest[cell_of.ravel()] + slack


def _farthest(places: np.ndarray, count: int) -> np.ndarray:
    """Return (count,) indices of farthest-point sampling, beginning with the frontmost place.

    ValueError if there are fewer places than points.
    """
    if len(places) < count:
        raise ValueError(f"expected {count} candidate points or more, got {len(places)}")
    chosen = [int(places[:, 2].argmin())]
    distance = np.full(len(places), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return np.array(chosen)
