"""The ICT FaceKit light face model (MIT license) as a `HeadModel`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import BinaryIO

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from atpn.synthetic.heads.head import HeadModel, Part, SurfacePoints
from atpn.synthetic.heads.surface import sample_surface
from edge_runtime.arrays import ArrayFileError, read_arrays
from edge_runtime.reading import open_regular

# Multi-PIE / iBUG order, published with the model.
# fmt: off
IBUG_VERTICES = np.array([
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443,
    268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360,
    1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732,
    5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
])
# fmt: on
FACE_MODEL = "face_model.npz"
_ARRAYS = (
    *("neutral", "uv", "triangles", "triangles_uv", "triangle_material"),
    *("identity", "expression", "expression_names"),
)
_PART_RANGES = (
    (11248, 13294, Part.MOUTH),
    (13294, 14062, Part.SOCKET),
    (14062, 17039, Part.GUMS),
    (17039, 21451, Part.TEETH),
    (21451, 24591, Part.EYEBALL),
    (25351, 26719, Part.LASHES),
)
# Face, head and neck, gums, teeth, scleras, lashes. Irises are painted in the shader by their angle from the gaze; the
# lacrimal fluid, eye blend and occlusion layers are translucent shells that a single pass cannot draw.
_MATERIALS = (0, 1, 2, 3, 4, 6, 11)
_Y_UP_TO_HEAD = np.array([1.0, -1.0, -1.0], np.float32)
_EYEBALLS = ((23021, 24591), (21451, 23021))
# Where the published vertices and the 300-W markup's mean shape disagree, the markup rules: annotators follow it. Its
# mean shape is that of the 68-point distribution model published with OpenFace (Baltrusaitis et al., 2018), left and
# right averaged. Lids and lips: fraction of the width between the corners, from the image's left (lids: from the outer
# corner) at which points lie, in the order of the rim.
_UPPER_LID, _LOWER_LID = (0.31, 0.495, 0.68), (0.29, 0.48, 0.655)
_UPPER_LIP = (0.185, 0.37, 0.5, 0.63, 0.815)
_LOWER_LIP = (0.18, 0.36, 0.5, 0.64, 0.82)
_INNER_LIP = (0.34, 0.5, 0.66)
# Landmarks moved off their published vertices, centimeters to the right and up: the contour begins 8 % of the eye
# distance below the outer eye corners; the nose's base rises to the wings, 4 % above the septum.
_MOVED = (
    *((0, 0.0, -0.65), (32, 0.0, -0.65)),
    *((55, -0.15, 0.30), (56, 0.0, 0.11), (58, 0.0, 0.11), (59, 0.15, 0.30)),
)
# Landmarks moved off the mesh's rims: toward another published vertex, by a fraction of the way. In the London set,
# drawn by hand, the lower lip's edge lies 0.9 % of the eye distance above the rim, the upper lip's middle 1.0 % below
# and its other points 0.3 %; the upper lid's edge 0.4 % above (a trained network's bias there less that on renders).
_TOWARD = (
    *((79, 62, 0.10), (77, 61, 0.03), (78, 61, 0.03), (80, 63, 0.03), (81, 63, 0.03)),
    *((83, 65, 0.07), (84, 65, 0.07), (85, 66, 0.07), (86, 67, 0.07), (87, 67, 0.07)),
    *((61, 18, 0.02), (62, 19, 0.02), (63, 20, 0.02), (69, 23, 0.02), (70, 24, 0.02), (71, 25, 0.02)),
)
CONTOUR_CANDIDATES = 40
# How far a contour point may slide back from its anchor, centimeters: at the chin, and from 5 of the 68-point steps on.
# People draw the chin where its rounding ends, not at the throat that lies lower: with 1.8 the trained network put the
# chin 2.6 % and the jaw line 1.0 % of the eye distance below the outlines of the London set, and not so on renders.
_CHIN_BACK, _JAW_BACK = 0.7, 2.0
# Sideways lean of a chin point's outward direction, per sine of yaw, falling to zero 4 of the 68-point steps from the
# chin. On a turned face people keep the chin near its tip: its x less that of the lips changes by -1.56 cm per sine of
# yaw on AFW's even photographs (a rigid fit of eyes, nose and mouth gives the yaw). Without limit and lean: -2.3.
CHIN_LEAN = 1.2 * np.clip(1 - np.abs(np.arange(33) / 2 - 8) / 4, 0, 1)
# Contour points slide along curves that are radial around the mouth, in the model's own y-up frame.
CONTOUR_CENTER = np.array([0.0, -1.0])


def load_ict(folder: Path) -> HeadModel:
    """Read `face_model.npz` in a folder; FileNotFoundError or ValueError if it is missing or invalid."""
    path = folder / FACE_MODEL
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: --assets must name a folder with ict_facekit/face_model.npz")
    with open_regular(path) as file:
        return read_ict(file, str(path))


def read_ict(file: BinaryIO, name: str) -> HeadModel:
    """Read an open `face_model.npz`; ValueError if it is invalid."""
    try:
        data = read_arrays(file, name, _ARRAYS)
    except ArrayFileError as error:
        raise ValueError(
            f"{name} is not the ICT face model in one .npz file, or is truncated ({error}); see docs/assets.md"
        ) from error

    keep = np.isin(data["triangle_material"], _MATERIALS)
    triangles, material = data["triangles"][keep], data["triangle_material"][keep]
    corner_uv = data["triangles_uv"][keep]
    # Every (vertex, texture coordinate) pair becomes one render vertex.
    pairs = np.stack([triangles.ravel(), corner_uv.ravel()], axis=1)
    pairs, inverse = np.unique(pairs, axis=0, return_inverse=True)
    uv = data["uv"][pairs[:, 1]].astype(np.float32)
    # Two tiles lie side by side, the face (u in 0 to 1) and the back of the head (1 to 2); v runs down like image rows.
    uv = np.stack([uv[:, 0] / 2, 1 - uv[:, 1]], axis=1)

    part = np.full(len(data["neutral"]), Part.SKIN, np.uint8)
    for start, stop, kind in _PART_RANGES:
        part[start:stop] = kind
    y_up = data["neutral"].astype(np.float32)
    skin = triangles[material <= 1]
    landmarks = _landmarks(y_up, triangles[material == 0])
    return HeadModel(
        name="ict",
        neutral=y_up * _Y_UP_TO_HEAD,
        triangles=triangles,
        part=part,
        uv=uv,
        uv_source=pairs[:, 0].astype(np.int32),
        uv_triangles=inverse.reshape(-1, 3).astype(np.int32),
        identity=data["identity"].astype(np.float32) * _Y_UP_TO_HEAD,
        expression=data["expression"].astype(np.float32) * _Y_UP_TO_HEAD,
        expression_names=tuple(str(name) for name in data["expression_names"]),
        landmarks=landmarks,
        contour=_contour_candidates(y_up, skin, landmarks.at(y_up)[:33]),
        eye_vertices=tuple(np.arange(start, stop) for start, stop in _EYEBALLS),
        eye_radius=1.25,
    )


def _landmarks(y_up: np.ndarray, face: np.ndarray) -> SurfacePoints:
    """Return the 98 points; brows and pupils are placeholders, as they depend on the drawn brow and the gaze.

    WFLW's contour is iBUG's with one point between each two.
    """
    v = IBUG_VERTICES
    vertices = np.zeros((98, 3), np.int64)
    weights = np.tile(np.array([1.0, 0.0, 0.0], np.float32), (98, 1))
    vertices[0:33:2] = v[:17, None]
    vertices[1:33:2, 0], vertices[1:33:2, 1] = v[:16], v[1:17]
    vertices[1:33:2, 2] = v[:16]
    weights[1:33:2] = (0.5, 0.5, 0.0)
    vertices[33:38], vertices[38:42] = v[17:22, None], v[[21, 20, 19, 18], None]
    vertices[42:47], vertices[47:51] = v[22:27, None], v[[25, 24, 23, 22], None]
    vertices[51:60] = v[27:36, None]
    vertices[96], vertices[97] = v[36], v[45]
    for index, out, up in _MOVED:
        near = np.linalg.norm(y_up - (y_up[vertices[index, 0]] + (out, up, 0)), axis=1)
        near[np.setdiff1d(np.arange(len(y_up)), face)] = np.inf
        vertices[index] = near.argmin()
    rims = _Rims(y_up, face)
    for first, stops, fractions in (
        (60, v[[36, 37, 38, 39]], _UPPER_LID),
        (64, v[[39, 40, 41, 36]], [1 - f for f in _LOWER_LID[::-1]]),
        (68, v[[42, 43, 44, 45]], [1 - f for f in _UPPER_LID[::-1]]),
        (72, v[[45, 46, 47, 42]], _LOWER_LID),
        (76, v[[48, 49, 50, 51, 52, 53, 54]], _UPPER_LIP),
        (82, v[[54, 55, 56, 57, 58, 59, 48]], _LOWER_LIP),
        (88, v[[60, 61, 62, 63, 64]], _INNER_LIP),
        (92, v[[64, 65, 66, 67, 60]], _INNER_LIP),
    ):
        for index, fraction in enumerate((0.0, *fractions), start=first):
            vertices[index], weights[index] = rims.point(stops, fraction)
    for index, goal, share in _TOWARD:  # rims use two of the three vertices
        vertices[index, 2] = v[goal]
        weights[index] = (*((1 - share) * weights[index, :2]), share)
    return SurfacePoints(vertices, weights)


class _Rims:
    """Points on the rims of lids and lips: shortest edge paths between published vertices."""

    def __init__(self, y_up: np.ndarray, triangles: np.ndarray) -> None:
        self._y_up = y_up
        edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
        lengths = np.linalg.norm(y_up[edges[:, 0]] - y_up[edges[:, 1]], axis=1)
        self._graph = sparse.coo_matrix((lengths, edges.T), shape=(len(y_up), len(y_up))).tocsr()

    def point(self, stops: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
        """Return (3,) vertices and (3,) weights of the point at a fraction of the rim's width (along x).

        `stops` are the vertices that the rim passes, from one corner to the other.
        """
        path = [int(stops[0])]
        for start, stop in itertools.pairwise(stops):
            _, previous = csgraph.dijkstra(self._graph, directed=False, indices=start, return_predecessors=True)
            leg = [int(stop)]
            while leg[-1] != start:
                leg.append(int(previous[leg[-1]]))
            path += leg[-2::-1]
        x = self._y_up[path, 0]
        share = (x - x[0]) / (x[-1] - x[0])
        after = max(1, int(np.argmax(share >= fraction)))
        weight = (fraction - share[after - 1]) / (share[after] - share[after - 1])
        return np.array([path[after - 1], path[after], path[after]]), np.array([1 - weight, weight, 0.0])


def _contour_candidates(y_up: np.ndarray, skin: np.ndarray, anchors: np.ndarray) -> SurfacePoints:
    """Return (33, C) surface points on each contour point's radial curve.

    A point may slide forward over the cheek and backward under the chin, where a face's visible edge lies: on the near
    side of a turned face to the ear at most, near the chin less.
    """
    samples = sample_surface(y_up, skin, 500_000, np.random.default_rng(0))
    points = samples.at(y_up)
    radial = points[:, :2] - CONTOUR_CENTER
    radius, angle = np.hypot(*radial.T), np.arctan2(radial[:, 1], radial[:, 0])
    chosen = np.empty((33, CONTOUR_CANDIDATES), np.int64)
    for i, anchor in enumerate(anchors):
        offset = anchor[:2] - CONTOUR_CENTER
        turn = np.abs((angle - np.arctan2(offset[1], offset[0]) + np.pi) % (2 * np.pi) - np.pi)
        backwards = _CHIN_BACK + (_JAW_BACK - _CHIN_BACK) * min(1.0, abs(i / 2 - 8) / 5) ** 2
        near = (turn * radius < 0.08) & (points[:, 2] > anchor[2] - backwards) & (radius > 1.0)
        curve = np.flatnonzero(near & (radius < np.hypot(*offset) + 1.6))
        elevation = np.arctan2(points[curve, 2] - 3, radius[curve])
        low, high = elevation.min(), min(elevation.max(), 1.2)
        bins = np.clip(((elevation - low) / (high - low) * CONTOUR_CANDIDATES).astype(int), 0, CONTOUR_CANDIDATES)
        outermost = [
            curve[members[np.argmax(np.hypot(radius[curve[members]], points[curve[members], 2] - 3))]]
            for members in (np.flatnonzero(bins == b) for b in range(CONTOUR_CANDIDATES))
            if len(members)
        ]
        chosen[i] = np.resize(outermost, CONTOUR_CANDIDATES)  # repeats fill the bins that the curve misses
    return SurfacePoints(samples.vertices[chosen], samples.weights[chosen].astype(np.float32))
