"""A head from formulas, for renders without downloaded assets.

It has lids that close over eyeballs, a mouth with teeth that opens, ears, neck and shoulders. The mesh triangulates the
unrolled surface, with every landmark a vertex. Eyes, mouth and chin lie where other heads have them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import Delaunay, cKDTree

from atpn.synthetic.heads.head import HeadModel, Part, SurfacePoints
from atpn.synthetic.heads.procedural_motion import expression_shapes, identity_shapes
from atpn.synthetic.heads.procedural_shape import (
    CROWN,
    EQUATOR,
    EYE_CENTERS,
    EYE_RADIUS,
    FLOOR,
    lid_loop,
    lip_loops,
    surface,
    turn_at,
)
from edge_runtime.landmarks import WFLW_98

_SEAM = np.radians(-135.0)  # where the texture begins: behind an ear, so that the face is in one piece
_UNROLLED = 8.0  # centimeters per radian of turn, about the radius of a head
_CONTOUR_CANDIDATES = 24


@dataclass(frozen=True)
class _Piece:
    """A part of the mesh."""

    vertices: np.ndarray
    triangles: np.ndarray
    """(T, 3) into this piece's vertices."""
    part: Part
    place: np.ndarray
    """(N, 3) place on the neutral head whose motion each vertex follows."""


@dataclass(frozen=True)
class _Skin:
    """The outer surface with the indices of what other pieces hang on."""

    vertices: np.ndarray
    uv: np.ndarray
    source: np.ndarray
    """(R,) vertex of each texture coordinate."""
    triangles: np.ndarray
    """(T, 3) into the texture coordinates."""
    landmarks: np.ndarray
    """(98,) vertices; pupils (96, 97) are at the lids until eyeballs exist."""
    contour: SurfacePoints
    lids: tuple[np.ndarray, np.ndarray]
    lips: np.ndarray
    """Vertices around each opening, in `lid_loop`'s and `lip_loops`' order."""


def procedural_head() -> HeadModel:
    """Return the head: about 4,000 vertices, the same on every call."""
    skin = _skin()
    eyes = [_eyeball(center) for center in EYE_CENTERS]
    pieces = [*eyes, *(_socket(skin.vertices[loop], c) for loop, c in zip(skin.lids, EYE_CENTERS, strict=True))]
    pieces += [_mouth(skin.vertices[skin.lips]), _teeth(2.45, 3.38, -1.0), _teeth(3.44, 4.3, 1.0)]

    starts = len(skin.vertices) + np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    vertices = np.concatenate([skin.vertices, *(piece.vertices for piece in pieces)])
    place = np.concatenate([skin.vertices, *(piece.place for piece in pieces)])
    part = np.repeat([Part.SKIN, *(p.part for p in pieces)], [len(skin.vertices), *(len(p.vertices) for p in pieces)])
    # Only the skin has texture seams; all other vertices follow with one coordinate each, that of the cheek.
    source = np.concatenate([skin.source, np.arange(starts[0], starts[-1])])
    uv = np.concatenate([skin.uv, np.tile(skin.uv[len(skin.uv) // 2], (starts[-1] - starts[0], 1))])
    shift = len(skin.source) - len(skin.vertices)
    rest = [piece.triangles + start + shift for piece, start in zip(pieces, starts[:-1], strict=True)]
    uv_triangles = np.concatenate([skin.triangles, *rest])

    eye_vertices = (np.arange(starts[0], starts[1]), np.arange(starts[1], starts[2]))
    shapes = expression_shapes(place)
    expression = np.stack(list(shapes.values()))
    expression[:, np.concatenate(eye_vertices)] = 0
    landmarks = skin.landmarks.copy()
    landmarks[96:98] = [indices[0] for indices in eye_vertices]
    return HeadModel(
        name="procedural",
        neutral=vertices.astype(np.float32),
        triangles=source[uv_triangles].astype(np.int32),
        part=part.astype(np.uint8),
        uv=uv.astype(np.float32),
        uv_source=source.astype(np.int32),
        uv_triangles=uv_triangles.astype(np.int32),
        identity=identity_shapes(place).astype(np.float32),
        expression=expression.astype(np.float32),
        expression_names=tuple(shapes),
        landmarks=SurfacePoints(np.repeat(landmarks[:, None], 3, axis=1), np.tile(np.float32([1, 0, 0]), (98, 1))),
        contour=skin.contour,
        eye_vertices=eye_vertices,
        eye_radius=EYE_RADIUS,
    )


def _unroll(turn: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (N, 2) places on the unrolled surface, in centimeters: around the head and along its height."""
    radius = EQUATOR - CROWN
    above = np.clip((EQUATOR - y) / radius, 0, 1)
    return np.stack([_UNROLLED * turn, np.where(y < EQUATOR, EQUATOR - radius * np.arcsin(above), y)], axis=-1)


def _roll(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return turn and height of places on the unrolled surface."""
    radius, along = EQUATOR - CROWN, plane[:, 1]
    y = np.where(along < EQUATOR, EQUATOR - radius * np.sin((EQUATOR - along) / radius), along)
    return plane[:, 0] / _UNROLLED, y


def _contour_anchors() -> np.ndarray:
    """Return (17, 2) turn and height of contour points 16 (chin) to 32 (ear), at the image's right."""
    knots = np.array(
        [[0, 7.6], [9.5, 7.4], [20, 6.9], [31, 6.0], [43.5, 4.4], [52.5, 2.4], [58, 0.4], [63, -1.6], [64, -3.7]]
    )
    fine = np.arange(17) / 2
    turn, y = (np.interp(fine, np.arange(9), knots[:, k]) for k in range(2))
    return np.stack([np.radians(turn), y], axis=1)


def _contour_paths() -> np.ndarray:
    """Return (33, C, 2) turns and heights between which each contour point slides, radially around the mouth.

    At the sides they run from the cheek to just before the ear, at the chin from its front to its underside.
    """
    half = np.empty((17, _CONTOUR_CANDIDATES, 2))
    for path, (turn, y) in zip(half, _contour_anchors(), strict=True):
        x = surface(np.array([turn]), np.array([y]))[0, 0]
        if x > abs(y - 1):
            path[:, 0] = np.linspace(turn - np.radians(45), turn + np.radians(6), len(path))
            path[:, 1] = y
            for _ in range(20):
                path[:, 1] = 1 + surface(path[:, 0], path[:, 1])[:, 0] * (y - 1) / x
        else:
            path[:, 1] = np.linspace(y - 2, min(y + 1.2, 8.8), len(path))
            path[:, 0] = turn_at((path[:, 1] - 1) * x / (y - 1), path[:, 1])
    return np.concatenate([half[::-1] * (-1, 1), half[1:]])


def _landmark_places() -> np.ndarray:
    """Return (96, 2) turn and height of all landmarks but the pupils."""
    flat = np.zeros((98, 2))
    flat[33:38] = [[-5.7, -5.1], [-4.9, -5.8], [-3.7, -6.15], [-2.4, -6.05], [-1.2, -5.75]]
    flat[38:42] = [[-1.2, -5.3], [-2.4, -5.55], [-3.7, -5.65], [-4.9, -5.35]]
    flat[51:58] = [[0, -3.7], [0, -2.6], [0, -1.6], [0, -0.5], [-1.3, 1.1], [-0.65, 1.2], [0, 1.3]]
    outer, inner = lip_loops()
    flat[60:68], flat[76:88], flat[88:96] = lid_loop(0)[::3], outer[::2], inner[::3]
    mirrored = [*range(42, 51), 58, 59, *range(68, 76)]
    flat[mirrored] = flat[WFLW_98.mirror[mirrored]] * (-1, 1)
    places = np.stack([turn_at(flat[:96, 0], flat[:96, 1]), flat[:96, 1]], axis=1)
    places[16:33] = _contour_anchors()
    places[:16] = places[32:16:-1] * (-1, 1)
    return places


def _skin() -> _Skin:
    lids = [lid_loop(side) for side in (0, 1)]
    outer, inner = lip_loops()
    rings = [outer, (outer + inner) / 2, [0, 3.45] + (outer - [0, 3.45]) * [1.2, 1.4]]
    for loop, center in zip(lids, EYE_CENTERS[:, :2], strict=True):
        rings += [center + (loop - center) * size for size in ([1.15, 1.35], [1.35, 1.9], [1.6, 2.6])]
    openings = [_unroll(turn_at(*loop.T), loop[:, 1]) for loop in (*lids, inner)]
    loose = np.concatenate(rings)
    fixed = np.concatenate([*openings, _unroll(*_landmark_places().T)])
    required = np.concatenate([fixed, _unroll(turn_at(*loose.T), loose[:, 1])])
    # Landmarks repeat points of the loops: keep the first of each.
    kept = [i for i, near in enumerate(cKDTree(required).query_ball_point(required, 0.01)) if min(near) == i]
    features = required[kept]

    border, grid = _grid()
    free = cKDTree(features).query(grid)[0] > 0.3
    for opening in openings:
        free &= ~_inside(opening, grid)
    plane = np.concatenate([features, grid[free], border])
    mesh = Delaunay(plane)
    middles = plane[mesh.simplices].mean(axis=1)
    keep = ~np.any([_inside(opening, middles) for opening in openings], axis=0)
    a, b, c = (plane[mesh.simplices[:, k]] for k in range(3))
    turned = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0] > 0
    triangles = np.where(turned[:, None], mesh.simplices[:, ::-1], mesh.simplices)[keep]

    # The seam's two borders are one, and the whole top edge is the crown.
    half = len(border) // 2
    owner = np.arange(len(plane))
    owner[-half:] = owner[-2 * half : -half]
    top = plane[:, 1] < plane[:, 1].min() + 1e-6
    owner[top] = np.flatnonzero(top)[0]
    used, source = np.unique(owner, return_inverse=True)
    corners = source[triangles]
    whole = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])

    index = cKDTree(plane)
    low, high = plane.min(axis=0), plane.max(axis=0)
    path = _unroll(*np.moveaxis(_contour_paths(), -1, 0))
    simplex = mesh.find_simplex(path)
    affine = mesh.transform[simplex]
    first = np.einsum("icab,icb->ica", affine[..., :2, :], path - affine[..., 2, :])
    weights = np.concatenate([first, 1 - first.sum(axis=-1, keepdims=True)], axis=-1)
    landmarks = np.zeros(98, np.int64)
    landmarks[:96] = source[index.query(_unroll(*_landmark_places().T))[1]]
    loops = [source[index.query(opening)[1]] for opening in openings]
    return _Skin(
        vertices=surface(*_roll(plane[used])),
        uv=(plane - low) / (high - low),
        source=source,
        triangles=triangles[whole],
        landmarks=landmarks,
        contour=SurfacePoints(source[mesh.simplices[simplex]], weights.astype(np.float32)),
        lids=(loops[0], loops[1]),
        lips=loops[2],
    )


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Return points on the unrolled surface: the seam's, and a grid that is finer on face and ears."""
    (left, top), (right, bottom) = _unroll(np.array([_SEAM, _SEAM + 2 * np.pi]), np.array([CROWN, FLOOR]))
    rows = np.linspace(top, bottom, 30)
    border = np.concatenate([np.column_stack([np.full(len(rows), side), rows]) for side in (left, right)])
    columns = np.linspace(left, right, 42)[1:-1]
    coarse = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    ear = _UNROLLED * np.radians([80.0, 118.0])
    boxes = [((-10.2, -9.0), (10.2, 9.6), 0.46)]
    boxes += [((min(side * ear), -5.0), (max(side * ear), 3.0), 0.55) for side in (1, -1)]
    fine = []
    for low, high, step in boxes:
        inside = ((coarse > np.array(low) - step) & (coarse < np.array(high) + step)).all(axis=1)
        coarse = coarse[~inside]
        axes = [np.linspace(a, b, round((b - a) / step) + 1) for a, b in zip(low, high, strict=True)]
        fine.append(np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2))
    return border, np.concatenate([coarse, *fine])


def _inside(loop: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return (N,) bool: even-odd test of points (N, 2) against a closed polygon (M, 2)."""
    start, end = loop[None], np.roll(loop, -1, axis=0)[None]
    x, y = points[:, None, 0], points[:, None, 1]
    straddles = (start[..., 1] > y) != (end[..., 1] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = start[..., 0] + (y - start[..., 1]) / (end[..., 1] - start[..., 1]) * (end[..., 0] - start[..., 0])
    return (straddles & (x < crossing)).sum(axis=1) % 2 == 1


def _strip(rows: int, columns: int, closed: bool) -> np.ndarray:
    """Return (T, 3) triangles of a grid of points, row by row; `closed` joins the last column to the first."""
    row, column = np.mgrid[: rows - 1, : columns if closed else columns - 1]
    a = (row * columns + column).ravel()
    b = (row * columns + (column + 1) % columns).ravel()
    return np.concatenate([np.stack([a, b, a + columns], axis=1), np.stack([b, b + columns, a + columns], axis=1)])


def _eyeball(center: np.ndarray) -> _Piece:
    """Return a ball whose rows run around the axis of view; it moves as one with its center."""
    polar, around = np.meshgrid(np.linspace(0, np.pi, 11), np.linspace(0, 2 * np.pi, 20, endpoint=False), indexing="ij")
    ball = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), -np.cos(polar)], axis=-1)
    vertices = center + EYE_RADIUS * ball.reshape(-1, 3)
    triangles = _strip(11, 20, closed=True)
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    inwards = (np.cross(b - a, c - a) * (a + b + c - 3 * center)).sum(axis=1) < 0
    triangles = np.where(inwards[:, None], triangles[:, ::-1], triangles)
    return _Piece(vertices, triangles, Part.EYEBALL, np.broadcast_to(center, vertices.shape))


def _socket(lid: np.ndarray, center: np.ndarray) -> _Piece:
    """Return a funnel from the lid's margin into the eye, visible at the corners."""
    vertices = np.concatenate([lid, np.broadcast_to(center, lid.shape)])
    return _Piece(vertices, _strip(2, len(lid), closed=True), Part.SOCKET, np.concatenate([lid, vertices[len(lid) :]]))


def _mouth(lips: np.ndarray) -> _Piece:
    """Return a bag behind the lips that opens with them."""
    angle = np.linspace(0, 2 * np.pi, len(lips), endpoint=False)
    height = -np.sin(angle)
    rings = [lips]
    for width, opening, depth in ((0.98, 0.8, None), (0.9, 1.3, -6.5), (0.0, 0.0, -6.0)):
        z = lips[:, 2] + 1.0 if depth is None else np.full(len(lips), depth)
        rings.append(np.stack([width * lips[:, 0], 3.42 + opening * height, z], axis=1))
    place = np.concatenate(
        [lips, lips, *(ring + np.stack([0 * angle, height, 0 * angle], axis=1) for ring in rings[2:])]
    )
    return _Piece(np.concatenate(rings), _strip(4, len(lips), closed=True), Part.MOUTH, place)


def _teeth(top: float, bottom: float, toward: float) -> _Piece:
    """Return one row of teeth as an arched band; it moves with the jaw (`toward` 1) or the skull (-1)."""
    x, y = np.meshgrid(np.linspace(-2, 2, 15), np.linspace(top, bottom, 3))
    vertices = np.stack([x, y, -10.45 + 0.28 * x**2], axis=-1).reshape(-1, 3)
    return _Piece(
        vertices, _strip(3, 15, closed=False), Part.TEETH, vertices * (0.5, 1, 1) + np.array([0, 2 * toward, 0])
    )
