"""Frames with labels, as a camera would record them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

FPS = 30.0
NOISE = 4.0
"""Standard deviation of the sensor's noise, grey levels: a webcam indoors."""
_SLIDE = 64
"""Pixels by which the noise's picture is shifted at most: thousands of places, so that no frame repeats another's."""


@dataclass(frozen=True)
class LabelledFrame:
    """One frame and who stands in it."""

    image: np.ndarray
    """(H, W, 3) uint8 BGR."""
    landmarks: np.ndarray
    """(P, 98, 2) pixels of each person, whether they are seen or not."""
    shown: np.ndarray
    """(P,) share of a person's landmarks that lie inside the frame with nothing in front of them."""


class Camera:
    """Adds the sensor's noise, another in every frame."""

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._size = height, width
        noise = NOISE * rng.standard_normal((height + _SLIDE, width + _SLIDE, 3), np.float32)
        self._noise = noise.round().astype(np.int16)

    def take(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) float32 0 to 255 to uint8."""
        (height, width), (y, x) = self._size, self._rng.integers(0, _SLIDE, 2)
        noise = self._noise[y : y + height, x : x + width]
        return np.asarray(cv2.add(picture, noise, dtype=cv2.CV_8U))
