"""Synthetic label noise like that of annotators: points slide along their contours, and leave them far less.

It measures how a recipe copes with such labels (`python -m atpn ablate --table noise`).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

from atpn.data.contours import get_contours, slide
from edge_runtime.landmarks import LandmarkScheme


@dataclass(frozen=True)
class SlideConfig:
    """Standard deviation of a point's way along its curve, as a fraction of the longer side of the face's rectangle."""

    jaw: float = 0.04
    """Two thirds of the distance between WFLW's 33 points."""
    brow: float = 0.02
    nose: float = 0.02
    lid: float = 0.01
    lip: float = 0.015


@dataclass(frozen=True)
class NoiseConfig:
    """Amount of label noise; the defaults are for `level` 1."""

    level: float = 0.0
    """Factor of all distances; 0: no noise."""
    slides: SlideConfig = field(default_factory=SlideConfig)
    across: float = 0.004
    """Standard deviation in x and y of every point, as a fraction of the rectangle: half a pixel of a crop."""
    annotator_fraction: float = 0.3
    """Fraction of the variance along a curve that is an annotator's bias, the same on all their faces."""
    curve_fraction: float = 0.3
    """Fraction of it that moves the face's whole curve; the rest is independent per point."""
    annotators: int = 8
    seed: int = 0
    """Seed of the noise, independent of the training's seed."""

    def __post_init__(self) -> None:
        fractions = (self.annotator_fraction, self.curve_fraction, 1 - self.annotator_fraction - self.curve_fraction)
        if self.level < 0 or self.annotators < 1 or min(fractions) < -1e-9:
            raise ValueError(
                "label noise needs a level >= 0, annotators >= 1, and fractions of the variance that add up "
                f"to 1 at most; got level {self.level}, annotators {self.annotators}, fractions {fractions}"
            )


def noisy_landmarks(landmarks: np.ndarray, scheme: LandmarkScheme, key: str, noise: NoiseConfig) -> np.ndarray:
    """Return (N, 2) float32 pixel landmarks with noise that depends on the sample's key only.

    ValueError for a scheme without contours.
    """
    points = landmarks.astype(np.float64)
    size = noise.level * float(np.ptp(points, axis=0).max())
    rng = np.random.default_rng([noise.seed, zlib.crc32(key.encode())])
    annotator = int(rng.integers(noise.annotators))
    habits = np.random.default_rng([noise.seed, 2**32 + annotator])
    noisy = points.copy()
    own_fraction = 1 - noise.annotator_fraction - noise.curve_fraction
    for contour in get_contours(scheme):
        indices = list(contour.indices)
        # Three draws of unit variance, so that their fractions add up.
        distance = (
            np.sqrt(noise.annotator_fraction) * habits.normal()
            + np.sqrt(noise.curve_fraction) * rng.normal()
            + np.sqrt(max(own_fraction, 0.0)) * rng.normal(size=len(indices))
        )
        distance *= size * getattr(noise.slides, contour.part)
        distance[[indices.index(corner) for corner in contour.corners]] = 0.0
        noisy[indices] = slide(points[indices], distance, contour.closed)
    noisy += rng.normal(0.0, noise.across * size, points.shape)
    return noisy.astype(np.float32)
