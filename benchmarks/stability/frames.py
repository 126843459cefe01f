"""Labeled frames as a camera would record them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

FPS = 30.0
NOISE = 4.0
"""Standard deviation of sensor noise, gray levels: a webcam indoors."""
_MAX_SHIFT = 64
"""Maximum shift of the noise image, pixels, so that no frame repeats another's noise."""


@dataclass(frozen=True)
class LabeledFrame:
    """One frame and its people."""

    image: np.ndarray
    """(H, W, 3) uint8 BGR."""
    landmarks: np.ndarray
    """(P, 98, 2) pixels of each person, visible or not."""
    visible_fraction: np.ndarray
    """(P,) fraction of a person's landmarks that are inside the frame and not occluded."""


class Camera:
    """Adds sensor noise, different in every frame."""

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._size = height, width
        noise = NOISE * rng.standard_normal((height + _MAX_SHIFT, width + _MAX_SHIFT, 3), np.float32)
        self._noise = noise.round().astype(np.int16)

    def take(self, image: np.ndarray) -> np.ndarray:
        """Convert (H, W, 3) float32 in [0, 255] to uint8 with noise."""
        (height, width), (y, x) = self._size, self._rng.integers(0, _MAX_SHIFT, 2)
        noise = self._noise[y : y + height, x : x + width]
        return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U))
