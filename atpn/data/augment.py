"""Photometric augmentation of training crops: tone, sensor noise, compression, occlusion.

The defaults are moderate: renders are already degraded, and stronger settings cost accuracy on real faces.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np


@dataclass(frozen=True)
class AugmentConfig:
    """Probabilities and ranges. Lengths are fractions of the crop's side."""

    tone: float = 0.7
    """Probability of a random tone curve."""
    gamma_sigma: float = 0.25
    gain_sigma: float = 0.12
    """Per channel: white balance."""
    contrast_sigma: float = 0.15
    brightness_sigma: float = 14.0
    """Gray levels."""
    channel_order: float = 0.0
    """Probability that red, green, and blue are reordered at random: the thesis' "transforms channels"."""
    gray: float = 0.12
    """Probability of a gray image: infrared cameras, old photographs."""
    low_resolution: float = 0.12
    """Probability of shrinking and enlarging the crop."""
    min_resolution: float = 0.3
    """Minimum side of the shrunk crop."""
    blur: float = 0.15
    blur_sigma: tuple[float, float] = (0.003, 0.012)
    motion_blur: float = 0.06
    motion_length: tuple[float, float] = (0.02, 0.06)
    noise: float = 0.15
    noise_sigma: tuple[float, float] = (2.0, 10.0)
    """Gray levels."""
    jpeg: float = 0.15
    jpeg_quality: tuple[int, int] = (25, 85)
    cover: float = 0.2
    """Probability that rectangles hide parts of the face."""
    cover_size: tuple[float, float] = (0.08, 0.4)


NO_AUGMENT = AugmentConfig(
    tone=0.0, gray=0.0, low_resolution=0.0, blur=0.0, motion_blur=0.0, noise=0.0, jpeg=0.0, cover=0.0
)
"""No augmentation, for evaluation."""

THESIS_AUGMENT = replace(NO_AUGMENT, channel_order=0.2)
"""The photometric part of the thesis' augmentation (section 3.3.2), which gives no probabilities: as often as images
are blended with backgrounds."""


def augment(image: np.ndarray, config: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """Return an augmented copy of an (S, S, 3) uint8 RGB crop."""
    draw = rng.random(8)
    side = image.shape[0]
    if draw[0] < config.cover:
        image = _cover(image, config, rng)
    if draw[1] < config.tone:
        image = cv2.LUT(image, _tone_curves(config, rng))
    if config.channel_order and rng.random() < config.channel_order:  # drawn only if used: old seeds stay valid
        image = np.ascontiguousarray(image[..., rng.permutation(3)])
    if draw[2] < config.gray:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if draw[3] < config.low_resolution:
        small = max(8, round(side * rng.uniform(config.min_resolution, 0.8)))
        shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(shrunk, (side, side), interpolation=cv2.INTER_LINEAR)
    if draw[4] < config.blur:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(*config.blur_sigma) * side)
    if draw[5] < config.motion_blur:
        kernel = motion_kernel(side * rng.uniform(*config.motion_length), rng.uniform(0.0, np.pi))
        image = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    if draw[6] < config.noise:
        grain = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(*config.noise_sigma))
        image = np.clip(image + grain, 0, 255).astype(np.uint8)
    if draw[7] < config.jpeg:
        quality = int(rng.integers(*config.jpeg_quality))
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)  # both ways in one channel order, so RGB stays RGB
    return image


def _tone_curves(config: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """Return a (1, 256, 3) uint8 lookup table: gamma, contrast, a gain per channel, brightness."""
    levels = np.linspace(0.0, 1.0, 256, dtype=np.float32) ** np.float32(np.exp(rng.normal(0.0, config.gamma_sigma)))
    contrast = np.exp(rng.normal(0.0, config.contrast_sigma))
    gains = contrast * np.exp(rng.normal(0.0, config.gain_sigma, 3))
    offset = rng.normal(0.0, config.brightness_sigma) + 127.5 * (1 - contrast)  # contrast turns about mid-gray
    curves = 255 * levels[:, None] * gains.astype(np.float32) + np.float32(offset)
    return np.clip(curves, 0, 255).astype(np.uint8)[None]


def _cover(image: np.ndarray, config: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """Cover one or two rectangles with a flat color, noise, or another part of the image."""
    image = image.copy()
    side = image.shape[0]
    for _ in range(int(rng.integers(1, 3))):
        height, width = (int(v) for v in np.maximum(2, rng.uniform(*config.cover_size, 2) * side))
        top, left = int(rng.integers(-height // 2, side - 2)), int(rng.integers(-width // 2, side - 2))
        target = image[max(top, 0) : top + height, max(left, 0) : left + width]
        kind = rng.random()
        if kind < 0.5:
            target[:] = rng.integers(0, 256, 3)
        elif kind < 0.7:
            target[:] = rng.integers(0, 256, target.shape)
        else:
            y, x = (int(rng.integers(0, side - extent + 1)) for extent in target.shape[:2])
            target[:] = image[y : y + target.shape[0], x : x + target.shape[1]].copy()
    return image


def motion_kernel(length: float, angle: float) -> np.ndarray:
    """Return a (K, K) float32 line of `length` pixels at `angle` radians through the center, of sum 1."""
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1,) * 2, np.uint8)
    reach = 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
    start, end = (tuple(int(v) for v in np.round((half + sign * reach) * 16)) for sign in (-1, 1))
    cv2.line(kernel, start, end, 255, 1, cv2.LINE_AA, 4)
    return kernel.astype(np.float32) / max(float(kernel.sum()), 1.0)
