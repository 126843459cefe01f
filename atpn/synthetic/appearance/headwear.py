"""Caps, hats, hoods and scarves, fitted to a head's skull and drawn with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from atpn.synthetic.appearance.mesh import DrawnMesh, sheet
from atpn.synthetic.heads.head import HeadModel, Part

_KINDS = ("cap", "beanie", "hat", "scarf", "band", "helmet")
_KIND_PROBS = (0.38, 0.15, 0.17, 0.15, 0.05, 0.10)
Rim = Callable[[np.ndarray], np.ndarray]
"""Azimuth in radians to the height (y) of a hat's edge."""


@dataclass(frozen=True)
class Skull:
    """The ellipsoid above a head's brows; head frame, centimeters."""

    center: np.ndarray
    """(3,) at the height of the brows."""
    axes: np.ndarray
    """(3,) half axes: to the side, up, and to the back."""
    brow: float
    """Height (y) of the brows."""
    chin: np.ndarray
    """(3,)."""
    half_face: float
    """Half the face's width at the contour's ends."""

    @staticmethod
    def of(head: HeadModel, surface: np.ndarray, clearance: float) -> Skull:
        """Fit the skull of a (V, 3) surface, `clearance` centimeters larger than the skin."""
        points = head.landmarks.at(surface)
        skin = surface[head.part == Part.SKIN]
        brow = float(points[33:51, 1].mean())
        slab = skin[(skin[:, 1] > brow - 3.5) & (skin[:, 1] < brow - 0.5)]
        low, high = slab.min(axis=0), slab.max(axis=0)
        center = np.array([(low[0] + high[0]) / 2, brow, (low[2] + high[2]) / 2])
        axes = np.array([(high[0] - low[0]) / 2, brow - skin[:, 1].min(), (high[2] - low[2]) / 2]) + clearance
        return Skull(center, axes, brow, points[16], float(abs(points[32, 0] - points[0, 0]) / 2))

    def at(self, azimuth: np.ndarray, height: np.ndarray, boxy: float = 1.0) -> np.ndarray:
        """Return (..., 3) points of the ellipsoid at an azimuth (0 in front, pi/2 to the image's right) and a height y.

        Below the center it is a cylinder; `boxy` under 1 makes the top flatter.
        """
        sine = np.clip((self.center[1] - height) / self.axes[1], 0, 1)
        reach = np.sqrt(1 - sine**2) ** boxy
        x = self.center[0] + self.axes[0] * reach * np.sin(azimuth)
        z = self.center[2] - self.axes[2] * reach * np.cos(azimuth)
        return np.stack([x, np.broadcast_to(height, x.shape), z], axis=-1)

    def press(self, points: np.ndarray, below: float) -> np.ndarray:
        """Move those of (N, 3) points that are higher than y = `below` inside the ellipsoid: hair under a hat."""
        offset = (points - self.center) / (self.axes - 0.25)
        radius = np.linalg.norm(offset, axis=1)
        pressed = (points[:, 1] < below) & (radius > 1)
        result = points.copy()
        result[pressed] = self.center + (offset[pressed] / radius[pressed, None]) * (self.axes - 0.25)
        return result


@dataclass(frozen=True)
class Headwear:
    """One thing on one head."""

    kind: str
    mesh: DrawnMesh
    skull: Skull
    rim: float
    """Height (y) above which hair is covered."""

    @property
    def covers_hair(self) -> bool:
        """Whether no hair shows."""
        return self.kind in ("scarf", "helmet")


def sample_headwear(head: HeadModel, surface: np.ndarray, hair_height: float, rng: np.random.Generator) -> Headwear:
    """Return random headwear for a (V, 3) surface in the head frame, with hair `hair_height` centimeters high."""
    kind = str(rng.choice(_KINDS, p=_KIND_PROBS))
    clearance = hair_height + rng.uniform(0.4, 1.1) + (1.2 if kind == "helmet" else 0.0)
    skull = Skull.of(head, surface, clearance)
    tilt = rng.normal(0, 0.03)  # one side lower than the other
    front = skull.brow - rng.uniform(-0.4, 3.2)
    back = skull.brow + rng.uniform(-2.5, 1.5)
    if kind == "scarf":
        return Headwear(kind, _scarf(skull, rng), skull, skull.brow + 20)

    def rim(azimuth: np.ndarray) -> np.ndarray:
        level = (front + back) / 2 - (back - front) / 2 * np.cos(azimuth)
        return np.minimum(level, skull.center[1] + 2) + tilt * skull.axes[0] * np.sin(azimuth)

    dye = _color(rng)
    if kind == "band":
        azimuth, share = np.meshgrid(np.linspace(-np.pi, np.pi, 65), np.linspace(0, 1, 6))
        points = skull.at(azimuth, rim(azimuth) - share * rng.uniform(1.5, 4))
        return Headwear(kind, sheet(points, _cloth(points.shape[:2], dye, rng)), skull, front)
    azimuth, share = np.meshgrid(np.linspace(-np.pi, np.pi, 73), np.linspace(0, 1, 22))
    low = np.arcsin(np.clip((skull.center[1] - rim(azimuth)) / skull.axes[1], -0.4, 0.9))
    height = skull.center[1] - skull.axes[1] * np.sin(low + (np.pi / 2 - low) * share)
    height = np.where(share == 0, rim(azimuth), height)
    points = skull.at(azimuth, height, boxy=rng.uniform(0.6, 1.0))
    if kind == "beanie":  # wool stands off the top and hangs over to the back
        slack = rng.uniform(0, 2.5) * share**2
        points = points + np.stack([0 * slack, -slack, 0.5 * slack], axis=-1)
    elif kind == "hat":  # a crown with straight sides and a dent
        crown = np.minimum(share * 1.6, 1)[..., None]
        straight = skull.at(azimuth, rim(azimuth))
        straight[..., 1] -= np.minimum(share * 1.6, 1) * rng.uniform(7, 11)
        inwards = np.clip(share * 1.6 - 1, 0, 1)[..., None] / 0.6
        points = straight + (skull.center - straight) * (1, 0, 1) * (0.12 * crown + 0.88 * inwards)
    colors = _cloth(share.shape, dye, rng)
    if rng.random() < 0.4:  # a ribbon, a cuff, a badge
        colors[share < rng.uniform(0.1, 0.3)] = _color(rng)
    elif rng.random() < 0.4:
        badge = np.hypot((azimuth - rng.normal(0, 0.1)) / rng.uniform(0.2, 0.5), (share - 0.35) / 0.2) < 1
        colors[badge] = _color(rng)
    meshes = [sheet(points, colors)]
    if kind == "cap":
        meshes.append(_bill(skull, rim, dye if rng.random() < 0.6 else _color(rng), rng))
    elif kind == "hat":
        meshes.append(_brim(skull, rim, dye, rng))
    return Headwear(kind, _joined(meshes), skull, min(front, back) + 0.5)


def _bill(skull: Skull, rim: Rim, dye: np.ndarray, rng: np.random.Generator) -> DrawnMesh:
    """Return a cap's bill: mostly in front, sometimes turned aside or to the back."""
    heading = float(rng.choice([0.0, np.pi, rng.uniform(-0.9, 0.9)], p=[0.72, 0.13, 0.15]))
    across, out = np.meshgrid(np.linspace(-1, 1, 25), np.linspace(0, 1, 10))
    azimuth = heading + across * rng.uniform(0.85, 1.15)
    start = skull.at(azimuth, rim(azimuth))
    length, slope, droop = rng.uniform(5.5, 8), rng.uniform(0.0, 0.45), rng.uniform(0.3, 2.2)
    reach = out * length * np.sqrt(np.clip(1 - across**2, 0, 1)) ** 0.7
    ahead = np.array([np.sin(heading), 0, -np.cos(heading)])
    points = start + reach[..., None] * ahead
    points[..., 1] += slope * reach + droop * out * (across**2 - 0.3)
    return sheet(points, _cloth(across.shape, dye, rng))


def _brim(skull: Skull, rim: Rim, dye: np.ndarray, rng: np.random.Generator) -> DrawnMesh:
    """Return a hat's wavy brim, its sides often turned up."""
    azimuth, out = np.meshgrid(np.linspace(-np.pi, np.pi, 73), np.linspace(0, 1, 8))
    start = skull.at(azimuth, rim(azimuth))
    away = np.stack([np.sin(azimuth), np.zeros_like(azimuth), -np.cos(azimuth)], axis=-1)
    width, curl = rng.uniform(3.5, 9), rng.uniform(-0.2, 0.35)
    wave = 0.15 * np.sin(2 * azimuth + rng.uniform(0, 6)) + rng.uniform(-0.1, 0.3)
    points = start + (out * width)[..., None] * away
    points[..., 1] += out * width * wave - curl * width * out**2 * np.sin(azimuth) ** 2
    return sheet(points, _cloth(azimuth.shape, dye, rng))


def _scarf(skull: Skull, rng: np.random.Generator) -> DrawnMesh:
    """Return a hood or headscarf: rings from the face's opening backward over the head and down the neck."""
    around, along = np.meshgrid(np.linspace(-np.pi, np.pi, 73), np.linspace(0, 1, 24))
    top = skull.brow - rng.uniform(0.8, 4.5)
    bottom = skull.chin[1] + rng.uniform(-0.3, 2.5)
    half = skull.half_face * rng.uniform(0.88, 1.08)
    # The opening, seen from the front: 0 at the top, pi at the chin.
    opening_x = half * np.sin(around) * (1 - 0.12 * np.cos(around))
    opening_y = (top + bottom) / 2 - (bottom - top) / 2 * np.cos(around)
    face_front, face_back = skull.center[2] - skull.axes[2], skull.center[2]
    opening_z = face_front + 1.0 + (skull.chin[2] - face_front + 1.5) * (1 - np.cos(around)) / 2
    opening_z = np.maximum(opening_z, face_front + (face_back - face_front) * 0.75 * np.abs(np.sin(around)) ** 1.5)
    # The outer shell: over the skull above, down to the shoulders below.
    turn = along * np.pi / 2
    below = np.clip(-np.cos(around), 0, 1)
    shell = skull.axes + rng.uniform(0.3, 1.5)
    outer_x = np.sin(around) * (shell[0] + 4 * below * along)
    outer_y = skull.center[1] - np.cos(around) * (shell[1] + (bottom - skull.center[1] + 6) * below)
    swell = np.sin(turn) ** 0.6
    x = opening_x + (outer_x - opening_x) * swell
    y = opening_y + (outer_y - opening_y) * swell
    z = opening_z + (skull.center[2] + 0.9 * shell[2] - opening_z) * (1 - np.cos(turn))
    # The last rings close over the back of the head.
    closing = np.clip((along - 0.8) / 0.2, 0, 1)[..., None]
    points = np.stack([x + skull.center[0], y, z], axis=-1)
    hub = np.array([skull.center[0], skull.center[1] + 2, skull.center[2] + shell[2]])
    points += (hub - points) * closing
    folds = rng.uniform(0.05, 0.35) * np.sin(rng.integers(5, 14) * around + 6 * along + rng.uniform(0, 6))
    points += folds[..., None] * np.array([0.5, 0.5, 0.5]) * np.minimum(along * 4, 1)[..., None]
    return sheet(points, _cloth(around.shape, _color(rng), rng))


def _color(rng: np.random.Generator) -> np.ndarray:
    """Return a (3,) color: half of all hats are black, gray, white or navy."""
    plain = np.array([[0.08, 0.08, 0.09], [0.3, 0.3, 0.32], [0.85, 0.85, 0.83], [0.1, 0.13, 0.28], [0.35, 0.25, 0.17]])
    return (
        plain[rng.integers(len(plain))] * rng.uniform(0.8, 1.15) if rng.random() < 0.55 else rng.uniform(0.05, 0.95, 3)
    )


def _cloth(shape: tuple[int, int], dye: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (A, B, 3) display colors of a sheet: plain or striped cloth with blotches."""
    colors = np.broadcast_to(dye, (*shape, 3)).astype(np.float32).copy()
    pattern = rng.random()
    row, column = np.mgrid[: shape[0], : shape[1]]
    if pattern < 0.15:
        colors[row // 2 % 2 == 0] = _color(rng)
    elif pattern < 0.25:
        colors[column // int(rng.integers(2, 7)) % 2 == 0] = _color(rng)
    elif pattern < 0.35:
        colors[rng.random(shape) < 0.3] = _color(rng)
    blotches = rng.normal(1, rng.uniform(0, 0.08), shape)
    return np.clip(colors * blotches[..., None], 0.02, 1).astype(np.float32)


def _joined(meshes: list[DrawnMesh]) -> DrawnMesh:
    starts = np.cumsum([0, *(len(mesh.points) for mesh in meshes[:-1])])
    return DrawnMesh(
        np.concatenate([mesh.points for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.colors for mesh in meshes]),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]).astype(np.int32),
    )
