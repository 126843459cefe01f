"""MakeHuman's morph targets (CC0), transferred to the ICT head: more head shapes beside ICT's own modes.

ICT's modes come from scans of adults. The targets add babies, children, the old, sexes, ethnicities, thin and heavy
faces, single features and asymmetries. Mesh, landmarks and expressions stay ICT's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from atpn.synthetic.heads.head import HeadModel, Part
from atpn.synthetic.heads.makehuman import assets_fingerprint, write_cache
from atpn.synthetic.heads.warp import HEAD_TO_Y_UP, DenseSurface, fit_warp, head_triangles, vertex_normals
from atpn.synthetic.heads.wavefront import load_obj
from edge_runtime.arrays import ArrayFileError, load_arrays, read_arrays
from edge_runtime.reading import open_regular

CACHE_VERSION = 1
_ETHNICITIES, _SEXES = ("african", "asian", "caucasian"), ("female", "male")
_AGES = {"baby": 0.0, "child": 0.1875, "young": 0.5, "old": 1.0}
"""MakeHuman's key shapes on its age scale."""
ADULT = 0.4
"""Minimum age, on the same scale, for beards and make-up."""
_OPPOSITES = (
    *(("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward")),
    *(("concave", "convex"), ("compress", "uncompress")),
)
# Expressions are ICT's; the neck is drawn but has no labels; a moved head only changes the posture.
_LEFT_OUT = ("expression/", "neck/", "head/head-trans", "asym/asymm-")
_NEIGHBORS = 6
_SMOOTHING_ROUNDS = 3
_LID_CLEARANCE = 1.01
"""Minimum distance of skin from the eyeball's center, in radii."""


@dataclass(frozen=True)
class Build:
    """A head's shape as weights of targets."""

    age: float
    """0 for a newborn, 0.19 for a child, 0.5 for twenty-five years, 1 for ninety."""
    weights: Mapping[str, float]
    """By target name."""


class MorphTargets:
    """The morph targets of one head model."""

    def __init__(self, names: tuple[str, ...], deltas: np.ndarray, transfer: sparse.csr_matrix, head: HeadModel):
        """Take (N, M, 3) float32 deltas, centimeters at M points on MakeHuman's skin, and their (V, M) transfer."""
        self._index = {name: i for i, name in enumerate(names)}
        self._deltas, self._transfer, self._head = deltas, transfer, head
        skull = (head.part == Part.SKIN) & (head.neutral[:, 1] < 6) & (np.abs(head.neutral[:, 0]) < 8)
        self._aligned = np.flatnonzero(skull)
        # What the mean of the ICT scans corresponds to.
        middle = {e: 1 / len(_ETHNICITIES) for e in _ETHNICITIES}
        self._average = self._sum(_macro(_AGES["young"], dict.fromkeys(_SEXES, 0.5), middle, 0.5, 0.5))
        self._details, self._shapes = _grouped(names)

    def sample(self, rng: np.random.Generator) -> Build:
        """Return a random build: a third of them children."""
        age = float(rng.uniform(0.06, ADULT) if rng.random() < 0.33 else rng.uniform(ADULT, 1.0))
        male = float(np.clip(rng.normal(rng.integers(2), 0.25), 0, 1))
        ethnicity = dict(zip(_ETHNICITIES, rng.dirichlet([0.5] * 3).tolist(), strict=True))
        weight, muscle = np.clip(rng.normal(0.5, 0.22, 2), 0, 1).tolist()
        weights = _macro(age, {"female": 1 - male, "male": male}, ethnicity, muscle, weight)
        for low, high in self._details:
            if rng.random() < 0.5:
                amount = float(np.clip(rng.normal(0, 0.35), -0.9, 0.9))
                for names, side in ((low, -1), (high, 1)):
                    for name in names:  # one, or the left and the right one
                        weights[name] = max(0.0, side * amount + float(rng.normal(0, 0.04)))
        for shapes in self._shapes:
            if rng.random() < 0.5:
                name = shapes[rng.integers(len(shapes))]
                weights[name] = float(rng.uniform(0, 0.7))
        return Build(age, weights)

    def apply(self, surface: np.ndarray, build: Build) -> np.ndarray:
        """Return (V, 3) vertices at rest with the build's shape; size and posture of the head are kept."""
        moved = surface + self._transfer @ (self._sum(build.weights) - self._average)
        moved = _aligned(moved, surface, self._aligned)
        return self._clear_of_eyeballs(moved).astype(np.float32)

    def _sum(self, weights: Mapping[str, float]) -> np.ndarray:
        rows = [(self._index[name], weight) for name, weight in weights.items() if weight]
        index, values = zip(*rows, strict=True)
        return np.tensordot(np.array(values, np.float32), self._deltas[list(index)], axes=1)

    def _clear_of_eyeballs(self, surface: np.ndarray) -> np.ndarray:
        """Push lids out of the eyeballs."""
        skin = np.flatnonzero(self._head.part == Part.SKIN)
        for center, vertices in zip(self._head.eye_centers(surface), self._head.eye_vertices, strict=True):
            radius = _LID_CLEARANCE * np.median(np.linalg.norm(surface[vertices] - center, axis=1))
            offset = surface[skin] - center
            distance = np.linalg.norm(offset, axis=1)
            inside = (distance < radius) & (distance > 1e-6)
            surface[skin[inside]] = center + offset[inside] * (radius / distance[inside])[:, None]
        return surface


def load_morphs(folder: Path, head: HeadModel, cache: Path) -> MorphTargets:
    """Carry MakeHuman's targets onto the ICT head, or read them from the cache folder.

    FileNotFoundError or ValueError if the assets folder is incomplete.
    """
    source = folder / "targets.npz"
    if not source.is_file():
        raise FileNotFoundError(f"{source} is missing: --assets must name a complete folder, see docs/assets.md")
    path = morphs_cache(folder, cache)
    if not path.is_file():
        names, deltas, transfer = _carry(folder, head)
        arrays = {"data": transfer.data, "indices": transfer.indices, "indptr": transfer.indptr}
        write_cache(path, names=np.array(names), deltas=deltas.astype(np.float16), **arrays)
    with open_regular(path) as file:
        return read_morphs(file, str(path), head)


def morphs_cache(folder: Path, cache: Path) -> Path:
    """Return the cache file of `load_morphs`."""
    return cache / f"morphs-{CACHE_VERSION}-{assets_fingerprint(folder)}.npz"


def read_morphs(file: BinaryIO, source: str, head: HeadModel) -> MorphTargets:
    """Read an open cache file; ArrayFileError if it is damaged. `source` names it."""
    stored = read_arrays(file, source, ["deltas", "data", "indices", "indptr", "names"])
    try:
        deltas = stored["deltas"].astype(np.float32)
        shape = len(head.neutral), deltas.shape[1]
        transfer = sparse.csr_matrix((stored["data"], stored["indices"], stored["indptr"]), shape)
    except (IndexError, ValueError) as error:
        raise ArrayFileError(f"{source} does not fit the head ({error}); delete it to make it again") from error
    return MorphTargets(tuple(str(name) for name in stored["names"]), deltas, transfer, head)


def _carry(folder: Path, head: HeadModel) -> tuple[list[str], np.ndarray, sparse.csr_matrix]:
    """Return names, (N, M, 3) deltas (centimeters, head frame) at M vertices of MakeHuman's head, (V, M) transfer."""
    base = load_obj(folder / "base.obj")
    rng = np.random.default_rng(0)
    warp, _ = fit_warp(base, DenseSurface.of_head(head, rng), head, rng)
    triangles = base.triangles[head_triangles(base)]
    used = np.unique(triangles)
    warped = warp(base.vertices[used])
    # The warp's mean scale: locally it also evens out folds, which a displacement must not be stretched by.
    front = base.vertices[used, 1] > 6.2
    flat = np.column_stack([base.vertices[used][front], np.ones(front.sum())])
    linear = np.linalg.lstsq(flat, warped[front], rcond=None)[0][:3] * HEAD_TO_Y_UP

    place = np.full(len(base.vertices), -1)
    place[used] = np.arange(len(used))
    names, deltas = [], []
    data = load_arrays(folder / "targets.npz", ["offsets", "vertex", "delta", "names"])
    offsets, vertex, delta = data["offsets"], data["vertex"], data["delta"].astype(np.float32)
    for i, name in enumerate(str(name) for name in data["names"]):
        rows = slice(offsets[i], offsets[i + 1])
        on_head = place[vertex[rows]] >= 0
        if name.startswith(_LEFT_OUT) or not on_head.any():
            continue
        dense = np.zeros((len(used), 3), np.float32)
        dense[place[vertex[rows][on_head]]] = delta[rows][on_head] @ linear
        names.append(name)
        deltas.append(dense)
    moved = base.vertices.copy()
    moved[used] = warped
    normals = vertex_normals(moved, triangles)[used] * HEAD_TO_Y_UP
    return names, np.stack(deltas), _transfer(head, warped * HEAD_TO_Y_UP, normals)


def _transfer(head: HeadModel, points: np.ndarray, normals: np.ndarray) -> sparse.csr_matrix:
    """Return (V, M) weights by which a head's vertices follow points on its skin.

    Skin follows the nearest points of similar normal, smoothed along the mesh; teeth and gums move with the lips, an
    eyeball with its lids, all else with the nearest skin.
    """
    skin = np.flatnonzero(head.part == Part.SKIN)
    own = head.normals(head.neutral)
    tree = cKDTree(np.column_stack([points, 0.7 * normals]))
    distance, nearest = tree.query(np.column_stack([head.neutral[skin], 0.7 * own[skin]]), k=_NEIGHBORS)
    weights = 1 / (distance + 0.1)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(skin, _NEIGHBORS)
    shape = (len(head.neutral), len(points))
    follow = sparse.csr_matrix((weights.ravel(), (rows, nearest.ravel())), shape=shape)
    smooth = _smoothing(head, skin)
    for _ in range(_SMOOTHING_ROUNDS):
        follow = smooth @ follow

    near = cKDTree(head.neutral[skin])
    others = np.flatnonzero(head.part != Part.SKIN)
    distance, nearest = near.query(head.neutral[others], k=_NEIGHBORS)
    weights = 1 / (distance + 0.1)
    weights /= weights.sum(axis=1, keepdims=True)
    pull = sparse.lil_matrix((len(head.neutral), len(head.neutral)))
    pull[skin, skin] = 1.0
    pull[np.repeat(others, _NEIGHBORS), skin[nearest].ravel()] = weights.ravel()
    rims = head.landmarks.vertices
    bite = np.flatnonzero(np.isin(head.part, (Part.TEETH, Part.GUMS)))
    for group, rim in ((bite, rims[76:88]), *zip(head.eye_vertices, (rims[60:68], rims[68:76]), strict=True)):
        pull[group] = 0.0
        anchors, counts = np.unique(rim, return_counts=True)
        pull[np.repeat(group, len(anchors)), np.tile(anchors, len(group))] = np.tile(counts / counts.sum(), len(group))
    return (pull.tocsr() @ follow).astype(np.float32)


def _smoothing(head: HeadModel, kept: np.ndarray) -> sparse.csr_matrix:
    """Return (V, V) weights that average each of the kept vertices with its neighbors among them."""
    inside = np.isin(head.triangles, kept).all(axis=1)
    t = head.triangles[inside]
    a, b = np.concatenate([t, t[:, [1, 2, 0]]]).ravel(), np.concatenate([t[:, [1, 2, 0]], t]).ravel()
    own = np.concatenate([a, kept]), np.concatenate([b, kept])
    matrix = sparse.csr_matrix((np.ones(len(own[0])), own), shape=(len(head.neutral),) * 2)
    matrix.data[:] = 1.0
    return sparse.diags(1 / np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1)) @ matrix


def _macro(
    age: float, sexes: Mapping[str, float], ethnicities: Mapping[str, float], muscle: float, weight: float
) -> dict[str, float]:
    """Return the weights of MakeHuman's key shapes, which are products of its sliders, each 0 to 1."""
    keys = list(_AGES.values())
    ages = dict(zip(_AGES, (float(np.interp(age, keys, row)) for row in np.eye(len(keys))), strict=True))
    weights: dict[str, float] = {}
    for sex, a in sexes.items():
        for key, b in ages.items():
            for ethnicity, c in ethnicities.items():
                weights[f"macrodetails/{ethnicity}-{sex}-{key}"] = a * b * c
            for muscles, d in _slider(muscle).items():
                for fat, e in _slider(weight).items():
                    if (muscles, fat) != ("average", "average"):  # the base mesh itself
                        weights[f"macrodetails/universal-{sex}-{key}-{muscles}muscle-{fat}weight"] = a * b * d * e
    return weights


def _slider(value: float) -> dict[str, float]:
    low, high = max(0.0, 1 - 2 * value), max(0.0, 2 * value - 1)
    return {"min": low, "average": 1 - low - high, "max": high}


def _grouped(names: tuple[str, ...]) -> tuple[list[tuple[list[str], list[str]]], list[list[str]]]:
    """Return opposite targets (one name each, or both sides'), and sets of mutually exclusive shapes."""
    known, details, single = set(names), [], []
    for name in names:
        folder, leaf = name.split("/", 1)
        if folder == "macrodetails" or leaf.startswith("r-"):
            continue
        sides = [name] + ([f"{folder}/r-{leaf[2:]}"] if leaf.startswith("l-") else [])
        stem, _, end = name.rpartition("-")
        opposite = dict(_OPPOSITES).get(end)
        if opposite and f"{stem}-{opposite}" in known:
            details.append((sides, [side.removesuffix(end) + opposite for side in sides]))
        elif folder == "asym" and end == "l":
            details.append(([name], [f"{stem}-r"]))
        elif not any(end in pair for pair in _OPPOSITES) and folder not in {"asym", "ears"}:
            single.append(name)
    return details, [
        [n for n in single if n.split("/")[0] == folder] for folder in dict.fromkeys(n.split("/")[0] for n in single)
    ]


def _aligned(moved: np.ndarray, goal: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Align `moved` to `goal` by the best similarity transform of the chosen vertices (Umeyama 1991)."""
    source, target = moved[chosen], goal[chosen]
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, sizes, v = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    rotation = (u * sign) @ v
    scale = (sizes * sign).sum() / (a**2).sum()
    return (moved - source.mean(axis=0)) @ (scale * rotation.T) + target.mean(axis=0)
