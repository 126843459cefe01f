"""Image-based light as nine spherical-harmonic coefficients, and a lamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.decoding import load_image

_ROWS, _COLUMNS = 32, 64


@dataclass(frozen=True)
class Light:
    """Light on a face, in the camera frame, linear RGB."""

    harmonics: np.ndarray
    """(9, 3) irradiance coefficients over pi, in the order of `harmonic_basis`."""
    lamp_direction: np.ndarray
    """(3,) unit vector toward the lamp."""
    lamp_color: np.ndarray
    """(3,)."""
    kind: str = "plain"
    """`plain`, or one of `DRAMATIC`."""


DRAMATIC = ("side", "stage", "back")
"""A lamp from one side, the same in a strong color, and a light behind the head."""


def load_panoramas(folder: Path) -> dict[str, np.ndarray]:
    """Read (H, W, 3) float32 linear RGB equirectangular panoramas by file stem; FileNotFoundError without any."""
    paths = sorted(folder.glob("*.hdr"))
    if not paths:
        raise FileNotFoundError(f"no .hdr panorama in {folder}: --assets must name a folder with hdri/*.hdr")
    panoramas = {}
    for path in paths:
        image = load_image(path, cv2.IMREAD_UNCHANGED)
        panoramas[path.stem] = np.nan_to_num(image[:, :, ::-1]).astype(np.float32)
    return panoramas


def light_map(panorama: np.ndarray) -> np.ndarray:
    """Resize a panorama to the size that lights are made from."""
    return cv2.resize(panorama, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA)


def harmonic_basis(directions: np.ndarray) -> np.ndarray:
    """Return (..., 9) real spherical harmonics up to order 2 of (..., 3) unit directions."""
    x, y, z = np.moveaxis(directions, -1, 0)
    return np.stack(
        [
            np.full_like(x, 0.282095),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        axis=-1,
    )


class Lighting:
    """Random lights from panoramas; without any, from random coefficients."""

    def __init__(self, panoramas: Sequence[np.ndarray]) -> None:
        theta = (np.arange(_ROWS) + 0.5) / _ROWS * np.pi
        phi = (np.arange(_COLUMNS) + 0.5) / _COLUMNS * 2 * np.pi
        ring = np.sin(theta)[:, None]
        directions = np.stack(
            [ring * np.sin(phi), np.broadcast_to(-np.cos(theta)[:, None], (_ROWS, _COLUMNS)), ring * np.cos(phi)], -1
        )
        solid_angle = ring * (np.pi / _ROWS) * (2 * np.pi / _COLUMNS)
        # Cosine lobe per order (Ramamoorthi & Hanrahan 2001), over pi: radiance of a white diffuse surface.
        lobe = np.repeat([1.0, 2 / 3, 1 / 4], [1, 3, 5])
        self._project = harmonic_basis(directions) * solid_angle[..., None] * lobe
        self._small = []
        for panorama in panoramas:
            small = light_map(panorama)
            self._small.append(np.minimum(small, np.percentile(small, 99.5) * 1.5))  # the lamp stands in for the sun

    def sample(self, rng: np.random.Generator, dramatic: float = 0.0) -> Light:
        """Return a panorama at a random azimuth, brightness and saturation, often with a lamp.

        `dramatic` is the probability of one of the `DRAMATIC` kinds.
        """
        if self._small:
            panorama = np.roll(self._small[rng.integers(len(self._small))], rng.integers(_COLUMNS), axis=1)
            harmonics = np.einsum("hwk,hwc->kc", self._project, panorama)
        else:
            harmonics = rng.normal(0, 0.25, (9, 1)) * np.ones(3)
            harmonics[0] = 1 / 0.282095  # white from everywhere, shaded by the others
        # Brightness of a surface that faces the camera or up: what a camera would expose for.
        exposure = (harmonic_basis(np.array([[0.0, 0.0, -1.0], [0.0, -0.7, -0.7]])) @ harmonics).mean()
        harmonics = harmonics / max(exposure, 1e-4)
        gray = harmonics.mean(axis=1, keepdims=True)
        harmonics = gray + (harmonics - gray) * rng.uniform(0.2, 1.0)
        harmonics = harmonics * np.exp(rng.normal(-0.2, 0.35))
        kind = str(rng.choice(DRAMATIC, p=[0.5, 0.2, 0.3])) if rng.random() < dramatic else "plain"
        if kind == "plain":
            azimuth, elevation = rng.uniform(-1.9, 1.9), rng.uniform(-0.5, 1.2)
            strength = rng.choice([0.0, rng.uniform(0, 0.6), rng.uniform(0.4, 1.3)], p=[0.2, 0.5, 0.3])
        elif kind == "back":
            azimuth, elevation = rng.choice([-1, 1]) * rng.uniform(2.0, 3.0), rng.uniform(-0.1, 0.7)
            harmonics, strength = harmonics * rng.uniform(0.25, 0.6), rng.uniform(0.8, 2.5)
        else:
            azimuth, elevation = rng.choice([-1, 1]) * rng.uniform(0.9, 1.8), rng.uniform(-0.4, 0.8)
            harmonics, strength = harmonics * rng.uniform(0.1, 0.35), rng.uniform(0.7, 1.7)
        direction = np.array(
            [np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), -np.cos(azimuth) * np.cos(elevation)]
        )
        tint = np.clip(1 + rng.normal(0, 0.12, 3), 0.5, 1.5)
        if kind == "stage":
            tint = rng.dirichlet([0.7] * 3) * 2.2 + 0.15
        return Light(harmonics.astype(np.float32), direction, tint * strength, kind)
