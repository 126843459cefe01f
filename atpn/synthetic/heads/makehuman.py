"""MakeHuman's photographic skins, brows and hair (CC0), fitted to the ICT head.

Skins are mapped through texture space, hair and brows by the warp from one head to the other.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from scipy.spatial import cKDTree

from atpn.synthetic.heads.head import HeadModel, Part
from atpn.synthetic.heads.surface import sample_triangles
from atpn.synthetic.heads.warp import HEAD_TO_Y_UP, DenseSurface, HeadWarp, fit_warp
from atpn.synthetic.heads.wavefront import ObjMesh, bind_mhclo, load_obj
from edge_runtime.arrays import ArrayFileError, read_arrays
from edge_runtime.decoding import load_image
from edge_runtime.files import write_atomically
from edge_runtime.reading import open_regular

TILE = 256
"""Texels per side of a texture tile; the atlas is two tiles wide (face, back of the head). In 192 px renders a texel is
half a pixel."""
CACHE_VERSION = 3


@dataclass(frozen=True)
class Hair:
    """A hair mesh that rides on the head."""

    name: str
    vertices: np.ndarray
    """(H, 3) float32, head frame, on the neutral head."""
    triangles: np.ndarray
    """(T, 3) int32 into the render vertices."""
    uv: np.ndarray
    """(R, 2) float32, origin at the texture's top left."""
    uv_source: np.ndarray
    """(R,) int32 into the vertices."""
    texture: np.ndarray
    """(H, W, 4) uint8 RGBA."""
    anchors: np.ndarray
    """(H, 6) int32 head vertices that each hair vertex follows."""
    anchor_weights: np.ndarray
    """(H, 6) float32, sum 1."""


@dataclass(frozen=True)
class Wardrobe:
    """Skins, brows and hair for a head."""

    skins: np.ndarray
    """(K, TILE, 2 * TILE, 3) uint8 RGB atlases."""
    skin_names: tuple[str, ...]
    brows: np.ndarray
    """(B, TILE, TILE) uint8 opacity in the face tile."""
    hair: tuple[Hair, ...]
    atlas_position: np.ndarray
    """(TILE, 2 * TILE, 3) float32 place of each texel on the neutral head; NaN where none is."""

    def with_skins(self, used: Callable[[str], bool]) -> Wardrobe:
        """Return the wardrobe with the skins of the used names only; ValueError if none is left."""
        kept = [i for i, name in enumerate(self.skin_names) if used(name)]
        if not kept:
            raise ValueError(f"no skin is left for this split; the assets have {', '.join(self.skin_names)}")
        return replace(self, skins=self.skins[kept], skin_names=tuple(self.skin_names[i] for i in kept))


def load_wardrobe(folder: Path, head: HeadModel, cache: Path) -> Wardrobe:
    """Carry MakeHuman's assets onto the ICT head, or read them from the cache folder."""
    for pattern in ("base.obj", "skins/*.jpg", "eyebrows/*/*.obj", "hair/*/*.obj"):
        if not any(folder.glob(pattern)):
            raise FileNotFoundError(
                f"{folder} has no {pattern}: --assets must name a complete folder, see docs/assets.md"
            )
    path = wardrobe_cache(folder, cache)
    if not path.is_file():
        write_cache(path, **_arrays(_carry(folder, head)))
    with open_regular(path) as file:
        return read_wardrobe(file, str(path))


def wardrobe_cache(folder: Path, cache: Path) -> Path:
    """Return the cache file of `load_wardrobe`."""
    return cache / f"wardrobe-{CACHE_VERSION}-{TILE}-{assets_fingerprint(folder)}.npz"


def assets_fingerprint(folder: Path) -> str:
    """Return a hash that changes when a file of an assets folder is added, removed or resized."""
    listing = sorted(f"{p.relative_to(folder)} {p.stat().st_size}" for p in folder.rglob("*") if p.is_file())
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()[:16]


def _carry(folder: Path, head: HeadModel) -> Wardrobe:
    rng = np.random.default_rng(0)
    base = load_obj(folder / "base.obj")
    skin = DenseSurface.of_head(head, rng)
    warp, base_skin = fit_warp(base, skin, head, rng)

    positions, normals, texel = _atlas_geometry(skin)
    tree = cKDTree(np.column_stack([base_skin.points, 0.7 * base_skin.normals]))
    distance, nearest = tree.query(np.column_stack([positions[texel], 0.7 * normals[texel]]), k=3, workers=-1)
    # Average the three nearest points' texture coordinates, but never across a texture seam.
    uv = base_skin.uv[nearest]
    near = np.linalg.norm(uv - uv[:, :1], axis=2) < 0.01
    weight = near / (distance + 1e-3)
    lookup = np.full((*texel.shape, 2), -1.0, np.float32)
    lookup[texel] = (uv * weight[..., None]).sum(axis=1) / weight.sum(axis=1, keepdims=True)

    # The two "suit" skins carry brows and clothes of their own.
    paths = sorted(p for p in (folder / "skins").glob("*.jpg") if "suit" not in p.name)
    skins = np.stack([_carry_skin(path, lookup, texel) for path in paths])
    face = skin.points[:, 2] > 6
    face &= skin.uv[:, 0] < 0.5
    brow_surface = cKDTree(skin.points[face]), skin.uv[face]
    brows = [_carry_brow(path, base.vertices, warp, brow_surface) for path in sorted(folder.glob("eyebrows/*/*.obj"))]
    hair = [_carry_hair(path, base.vertices, warp, head) for path in sorted(folder.glob("hair/*/*.obj"))]
    positions[~texel] = np.nan
    return Wardrobe(
        skins,
        tuple(path.stem for path in paths),
        np.stack([brow for brow in brows if brow is not None]),
        tuple(h for h in hair if h is not None),
        (positions * HEAD_TO_Y_UP).astype(np.float32),
    )


def _atlas_geometry(skin: DenseSurface) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return position and normal of each texel (y up), and which texels lie on the skin."""
    v, u = np.mgrid[:TILE, : 2 * TILE]
    texels = np.stack([(u + 0.5) / (2 * TILE), (v + 0.5) / TILE], axis=-1)
    aspect = np.array([2.0, 1.0])
    distance, nearest = cKDTree(skin.uv * aspect).query(texels * aspect, workers=-1)
    return skin.points[nearest], skin.normals[nearest], distance < 1.5 / TILE


def _carry_skin(path: Path, lookup: np.ndarray, texel: np.ndarray) -> np.ndarray:
    image = load_image(path)
    # Shrink first: one texel covers several of the photograph's pixels.
    side = 3 * TILE
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)[:, :, ::-1]
    x, y = lookup[..., 0] * side - 0.5, (1 - lookup[..., 1]) * side - 0.5
    atlas = cv2.remap(np.ascontiguousarray(image), x, y, cv2.INTER_LINEAR)
    return _bleed(atlas, texel, TILE // 32)


def _bleed(atlas: np.ndarray, filled: np.ndarray, rounds: int) -> np.ndarray:
    """Grow the filled texels outwards, so that filtering at a seam finds skin."""
    result, known = atlas.astype(np.float32), filled.astype(np.float32)
    result *= known[..., None]
    for _ in range(rounds):
        total, weight = cv2.blur(result * known[..., None], (5, 5)), cv2.blur(known, (5, 5))
        grow = (known == 0) & (weight > 0)
        result[grow] = total[grow] / weight[grow][:, None]
        known[grow] = 1
    return result.round().astype(np.uint8)


def _bound_mesh(path: Path, base: np.ndarray) -> tuple[ObjMesh, np.ndarray] | None:
    """Return a proxy mesh placed on the base, and its RGBA texture; None if the texture has no opacity."""
    mesh = load_obj(path)
    bindings, textures = sorted(path.parent.glob("*.mhclo")), sorted(path.parent.glob("*.png"))
    if not bindings or not textures:
        raise FileNotFoundError(f"{path.parent} lacks a .mhclo or a .png beside {path.name}; fetch the asset again")
    placed = bind_mhclo(bindings[0], base)
    texture = load_image(textures[0], cv2.IMREAD_UNCHANGED)
    if texture.ndim != 3 or texture.shape[2] != 4:
        return None
    # One brow's binding has no rows; its mesh file already stands in place.
    vertices = placed if placed is not None and len(placed) == len(mesh.vertices) else mesh.vertices
    rgba = cv2.cvtColor(cv2.resize(texture, (512, 512), interpolation=cv2.INTER_AREA), cv2.COLOR_BGRA2RGBA)
    return ObjMesh(vertices, mesh.uv, mesh.triangles, mesh.uv_triangles, mesh.groups), rgba


def _carry_brow(path: Path, base: np.ndarray, warp: HeadWarp, surface: tuple[cKDTree, np.ndarray]) -> np.ndarray | None:
    """Return a brow's (TILE, TILE) uint8 opacity, splatted from dense samples of its cards onto the face texture."""
    bound = _bound_mesh(path, base)
    if bound is None:
        return None
    mesh, texture = bound
    index, weights = sample_triangles(mesh.vertices, mesh.triangles, 150_000, np.random.default_rng(0))
    mix = weights[..., None]
    uv = (mesh.uv[mesh.uv_triangles[index]] * mix).sum(axis=1)
    side = len(texture)
    texel = np.clip((uv * side).astype(int), 0, side - 1)
    opacity = texture[side - 1 - texel[:, 1], texel[:, 0], 3]
    tree, face_uv = surface
    vertices = warp(mesh.vertices)
    corner_uv = face_uv[tree.query(vertices, workers=-1)[1]]
    place = (corner_uv[mesh.triangles[index]] * mix).sum(axis=1)
    column, row = (place[:, 0] * 2 * TILE).astype(int), (place[:, 1] * TILE).astype(int)
    inside = (column >= 0) & (column < TILE) & (row >= 0) & (row < TILE)
    flat = row[inside] * TILE + column[inside]
    hits = np.bincount(flat, minlength=TILE * TILE)
    total = np.bincount(flat, opacity[inside], minlength=TILE * TILE)
    return (total / np.maximum(hits, 1)).reshape(TILE, TILE).round().astype(np.uint8)


def _carry_hair(path: Path, base: np.ndarray, warp: HeadWarp, head: HeadModel) -> Hair | None:
    bound = _bound_mesh(path, base)
    if bound is None:
        return None
    mesh, texture = bound
    vertices = (warp(mesh.vertices) * HEAD_TO_Y_UP).astype(np.float32)
    skin = np.flatnonzero(head.part == Part.SKIN)
    distance, nearest = cKDTree(head.neutral[skin]).query(vertices, k=6, workers=-1)
    weights = 1 / (distance + 0.3)
    pairs = np.stack([mesh.triangles.ravel(), mesh.uv_triangles.ravel()], axis=1)
    pairs, inverse = np.unique(pairs, axis=0, return_inverse=True)
    uv = mesh.uv[pairs[:, 1]]
    return Hair(
        name=path.stem,
        vertices=vertices,
        triangles=inverse.reshape(-1, 3).astype(np.int32),
        uv=np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1).astype(np.float32),
        uv_source=pairs[:, 0].astype(np.int32),
        texture=texture,
        anchors=skin[nearest].astype(np.int32),
        anchor_weights=(weights / weights.sum(axis=1, keepdims=True)).astype(np.float32),
    )


_HAIR_ARRAYS = ("vertices", "triangles", "uv", "uv_source", "texture", "anchors", "anchor_weights")


def _arrays(wardrobe: Wardrobe) -> dict[str, np.ndarray]:
    """Return the contents of a cache file."""
    arrays: dict[str, np.ndarray] = {
        "skins": wardrobe.skins,
        "skin_names": np.array(wardrobe.skin_names),
        "brows": wardrobe.brows,
        "atlas_position": wardrobe.atlas_position,
        "hair_names": np.array([hair.name for hair in wardrobe.hair]),
    }
    for i, hair in enumerate(wardrobe.hair):
        arrays.update({f"hair{i}_{key}": getattr(hair, key) for key in _HAIR_ARRAYS})
    return arrays


def write_cache(path: Path, **arrays: np.ndarray) -> None:
    """Write an .npz file; several processes may write the same one."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomically(path, content.getvalue())


def read_wardrobe(file: BinaryIO, source: str) -> Wardrobe:
    """Read an open cache file; ArrayFileError if it is damaged. `source` names it."""
    data = read_arrays(file, source)
    try:
        hair = tuple(
            Hair(str(name), **{key: data[f"hair{i}_{key}"] for key in _HAIR_ARRAYS})
            for i, name in enumerate(data["hair_names"])
        )
        names = tuple(str(name) for name in data["skin_names"])
        return Wardrobe(data["skins"], names, data["brows"], hair, data["atlas_position"])
    except KeyError as error:
        raise ArrayFileError(f"{source} lacks the array {error}; delete it to make it again") from error
