"""The warp from MakeHuman's head (CC0) onto the ICT head: radial basis functions, refined by nearest surface points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from atpn.synthetic.heads.head import HeadModel, Part
from atpn.synthetic.heads.ict import IBUG_VERTICES
from atpn.synthetic.heads.surface import sample_triangles
from atpn.synthetic.heads.wavefront import ObjMesh

HEAD_TO_Y_UP = np.array([1.0, -1.0, -1.0])
"""Axes of the head frame to those of both meshes' files, and back."""

# Corresponding points: MakeHuman (x, y) in decimeters on the front of its neutral base mesh, found once by eye, and the
# iBUG landmarks of the ICT head whose mean they match. Each off-center point is mirrored as well.
_CORRESPONDENCES: tuple[tuple[float, float, tuple[int, ...]], ...] = (
    (-0.4472, 7.2766, (36,)),
    (-0.1636, 7.2740, (39,)),
    (-0.3271, 7.3405, (37, 38)),
    (-0.3271, 7.2434, (40, 41)),
    (0.0, 6.8141, (33,)),
    (-0.1073, 6.8396, (31,)),
    (0.0, 7.3098, (27,)),
    (-0.2632, 6.6096, (48,)),
    (0.0, 6.6837, (51,)),
    (-0.0639, 6.7169, (50,)),
    (0.0, 6.4920, (57,)),
    (0.0, 6.6121, (62, 66)),
    (-0.1278, 6.5253, (58, 59)),
)
_WIDEST_NOSTRIL = (-0.1687, 6.9214)


@dataclass(frozen=True)
class DenseSurface:
    """Dense samples of a skin, y up."""

    points: np.ndarray
    normals: np.ndarray
    uv: np.ndarray

    @staticmethod
    def of_head(head: HeadModel, rng: np.random.Generator) -> DenseSurface:
        """Sample random points on a head's skin at rest."""
        skin = (head.part[head.triangles] == Part.SKIN).all(axis=1)
        index, weights = sample_triangles(head.neutral, head.triangles[skin], 600_000, rng)
        corners, uv_corners = head.triangles[skin][index], head.uv_triangles[skin][index]
        mix = weights[..., None]
        points = (head.neutral[corners] * mix).sum(axis=1) * HEAD_TO_Y_UP
        normals = (head.normals(head.neutral)[corners] * mix).sum(axis=1) * HEAD_TO_Y_UP
        return DenseSurface(points, normals, (head.uv[uv_corners] * mix).sum(axis=1))


class HeadWarp:
    """Map from MakeHuman's space (decimeters, y up) to the ICT head's (centimeters, y up)."""

    def __init__(self, steps: list[RBFInterpolator]) -> None:
        self.steps = steps

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Map (N, 3) points to (N, 3)."""
        for step in self.steps:
            points = step(points)
        return points


def head_triangles(base: ObjMesh) -> np.ndarray:
    """Return (T,) bool: MakeHuman's skin from the collar bones up."""
    center = base.vertices[base.triangles].mean(axis=1)
    return (base.groups == "body") & (center[:, 1] > 5.6) & (np.abs(center[:, 0]) < 1.5)


def fit_warp(
    base: ObjMesh, skin: DenseSurface, head: HeadModel, rng: np.random.Generator
) -> tuple[HeadWarp, DenseSurface]:
    """Fit the warp from MakeHuman to ICT; return it and the warped MakeHuman skin."""
    kept = head_triangles(base)
    triangles, uv_triangles = base.triangles[kept], base.uv_triangles[kept]
    index, weights = sample_triangles(base.vertices, triangles, 400_000, rng)
    mix = weights[..., None]
    points = (base.vertices[triangles[index]] * mix).sum(axis=1)

    source, target = _corresponding_points(points, skin.points, head.neutral * HEAD_TO_Y_UP)
    warp = HeadWarp([RBFInterpolator(source, target, kernel="linear", degree=1)])
    used = np.unique(triangles)
    tree = cKDTree(np.column_stack([skin.points, 1.5 * skin.normals]))
    for count, reach, smoothing in ((500, 2.0, 0.6), (900, 1.2, 0.3), (900, 1.2, 0.15)):
        moved = base.vertices.copy()
        moved[used] = warp(base.vertices[used])
        normals = vertex_normals(moved, triangles)
        control = rng.choice(used, count, replace=False)
        control = control[moved[control, 1] > -11]
        distance, nearest = tree.query(np.column_stack([moved[control], 1.5 * normals[control]]))
        start, goal = moved[control], skin.points[nearest]
        # Lids and lips fold over: nearest points mislead there, the picked correspondences must do.
        eye = np.min([np.linalg.norm(start[:, :2] - (x, 3.4), axis=1) for x in (-3.1, 3.1)], axis=0) < 1.7
        mouth = np.linalg.norm((start[:, :2] - (0, -3.4)) / (3, 1.5), axis=1) < 1
        use = (distance < reach) & ~eye & ~mouth
        start, goal = np.concatenate([start[use], warp(source)]), np.concatenate([goal[use], target])
        warp.steps.append(RBFInterpolator(start, goal, kernel="linear", degree=1, smoothing=smoothing))
    moved = base.vertices.copy()
    moved[used] = warp(base.vertices[used])
    corners = triangles[index]
    base_skin = DenseSurface(
        (moved[corners] * mix).sum(axis=1),
        (vertex_normals(moved, triangles)[corners] * mix).sum(axis=1),
        (base.uv[uv_triangles[index]] * mix).sum(axis=1),
    )
    return warp, base_skin


def _corresponding_points(
    base_skin: np.ndarray, skin: np.ndarray, neutral: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    landmarks = neutral[IBUG_VERTICES]
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    flip = np.array([-1.0, 1.0, 1.0])

    def add(source: np.ndarray, target: np.ndarray) -> None:
        pairs.append((source, target))
        if abs(source[0]) > 0.01:
            pairs.append((source * flip, target * flip))

    for x, y, indices in _CORRESPONDENCES:
        add(_front(base_skin, x, y, 0.012), landmarks[list(indices)].mean(axis=0))
    add(_front(base_skin, *_WIDEST_NOSTRIL, 0.012), _front(skin, -1.78, -0.35, 0.1))
    midline = np.abs(base_skin[:, 0]) < 0.03
    nose = base_skin[midline & (base_skin[:, 1] > 6.8) & (base_skin[:, 1] < 7.0)]
    add(nose[np.argmax(nose[:, 2])] * (0, 1, 1), landmarks[30])
    chin = base_skin[midline & (base_skin[:, 1] > 6.1) & (base_skin[:, 1] < 6.4)]
    low = skin[(np.abs(skin[:, 0]) < 0.3) & (skin[:, 1] > -10) & (skin[:, 1] < -5)]
    add(chin[np.argmax(chin[:, 2] - chin[:, 1])] * (0, 1, 1), low[np.argmax(low[:, 2] - low[:, 1])] * (0, 1, 1))
    ears, ict_ears = base_skin[base_skin[:, 1] > 7.0], skin[skin[:, 1] > 0]
    add(ears[np.argmin(ears[:, 0])], ict_ears[np.argmin(ict_ears[:, 0])])
    add(base_skin[np.argmax(base_skin[:, 1])] * (0, 1, 1), skin[np.argmax(skin[:, 1])] * (0, 1, 1))
    back, ict_back = base_skin[base_skin[:, 1] > 7], skin[skin[:, 1] > 3]
    add(back[np.argmin(back[:, 2])] * (0, 1, 1), ict_back[np.argmin(ict_back[:, 2])] * (0, 1, 1))
    source, target = zip(*pairs, strict=True)
    return np.array(source), np.array(target)


def _front(points: np.ndarray, x: float, y: float, radius: float) -> np.ndarray:
    """Return the frontmost of the points near (x, y)."""
    near = points[np.hypot(points[:, 0] - x, points[:, 1] - y) < radius]
    return near[np.argmax(near[:, 2])]


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return (V, 3) unit normals of a mesh; zero where no triangle is."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for k in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(triangles[:, k], face[:, axis], len(vertices))
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9)
