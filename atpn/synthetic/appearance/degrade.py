"""Camera, lens and codec effects on a clean render."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from atpn.data.augment import motion_kernel

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
Range = tuple[float, float]


@dataclass(frozen=True)
class DegradeConfig:
    """Probability and strength of each effect.

    About half of the images stay clear: the network must be most exact on those, and training augments again.
    """

    shadow: float = 0.2
    """Probability of a soft shadow edge across the image: blinds, hats, half-lit rooms."""
    shadow_depth: Range = (0.1, 0.55)
    """Fraction of the light that the shadow takes; deeper ones would hide features labeled visible."""
    shadow_softness: Range = (0.01, 0.15)
    """Width of the shadow's edge as a fraction of the image's side."""
    vignette: float = 0.2
    vignette_depth: Range = (0.05, 0.4)
    """Fraction of light lost in the corners; cheap lenses lose up to a third."""
    color_cast: float = 0.45
    color_cast_deviation: float = 0.07
    """Standard deviation of each channel's gain: white balance between lamps and daylight."""
    gamma: float = 0.4
    gamma_deviation: float = 0.22
    """Standard deviation of log gamma: exposure and tone curves of different cameras."""
    contrast: float = 0.35
    contrast_gain: Range = (0.65, 1.4)
    contrast_offset: float = 10.0
    """Standard deviation of the brightness added with a contrast change, in gray levels."""
    gray: float = 0.08
    """Probability of an image without color: infrared cameras and old photographs."""
    saturation: float = 0.3
    saturation_gain: Range = (0.3, 1.4)
    blur: float = 0.18
    blur_sigma: Range = (0.3, 1.8)
    """Pixels at 192 px; beyond this eyelids are not distinguishable."""
    motion_blur: float = 0.07
    motion_length: Range = (2.0, 8.0)
    """Pixels at 192 px that the face moves during the exposure."""
    low_resolution: float = 0.15
    low_resolution_factor: Range = (0.2, 0.7)
    """Side of the shrunk image over the image's side."""
    noise: float = 0.45
    read_noise: Range = (0.5, 5.0)
    """Gray levels, independent of the light."""
    shot_noise: Range = (0.0, 0.8)
    """Gray levels per square root of a gray level: grows with the light."""
    jpeg: float = 0.5
    jpeg_quality: Range = (25.0, 92.0)
    """Below 25, blocks of eight pixels are wider than an eye's opening."""


MILD_CAMERA = DegradeConfig(
    shadow=0.08,
    shadow_depth=(0.1, 0.4),
    vignette=0.1,
    color_cast=0.35,
    color_cast_deviation=0.05,
    gamma=0.3,
    gamma_deviation=0.15,
    contrast=0.25,
    contrast_gain=(0.8, 1.25),
    gray=0.04,
    saturation=0.2,
    saturation_gain=(0.5, 1.3),
    blur=0.12,
    blur_sigma=(0.3, 0.9),
    motion_blur=0.02,
    motion_length=(2.0, 4.0),
    low_resolution=0.04,
    low_resolution_factor=(0.5, 0.8),
    noise=0.35,
    read_noise=(0.5, 3.0),
    shot_noise=(0.0, 0.4),
    jpeg=0.5,
    jpeg_quality=(60.0, 95.0),
)
"""A good camera, for clear portraits."""


def _uniform(rng: np.random.Generator, limits: Range) -> float:
    return float(rng.uniform(*limits))


def _light(image: np.ndarray, rng: np.random.Generator, config: DegradeConfig) -> np.ndarray:
    """Multiply by a shadow edge and a vignette."""
    height, width = image.shape[:2]
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None]
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    if rng.random() < config.shadow:
        angle = rng.uniform(0, 2 * np.pi)
        distance = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) + np.float32(rng.normal(0, 0.15))
        edge = 0.5 + 0.5 * np.tanh(distance / np.float32(_uniform(rng, config.shadow_softness)))
        image = image * (1 - np.float32(_uniform(rng, config.shadow_depth)) * edge)[..., None]
    if rng.random() < config.vignette:
        image = image * (1 - np.float32(_uniform(rng, config.vignette_depth)) * 2 * (x * x + y * y))[..., None]
    return image


def _tone(image: np.ndarray, rng: np.random.Generator, config: DegradeConfig) -> np.ndarray:
    """Apply color cast, gamma, contrast, and grayscale or a change of saturation."""
    if rng.random() < config.color_cast:
        image = image * np.clip(rng.normal(1, config.color_cast_deviation, 3), 0.7, 1.3).astype(np.float32)
    if rng.random() < config.gamma:
        power = float(np.clip(np.exp(rng.normal(0, config.gamma_deviation)), 0.5, 2.0))
        image = 255 * cv2.pow(np.clip(image * np.float32(1 / 255), 0, 1), power)
    if rng.random() < config.contrast:
        mean = float(image.mean())
        image = (image - mean) * np.float32(_uniform(rng, config.contrast_gain))
        image += np.float32(mean + rng.normal(0, config.contrast_offset))
    if rng.random() < config.gray:
        return np.repeat((image @ _LUMA)[..., None], 3, axis=2)
    if rng.random() < config.saturation:
        gray = (image @ _LUMA)[..., None]
        image = gray + (image - gray) * np.float32(_uniform(rng, config.saturation_gain))
    return image


def _optics(image: np.ndarray, rng: np.random.Generator, config: DegradeConfig) -> np.ndarray:
    """Apply at most one loss of sharpness: defocus, motion, or low resolution."""
    height, width = image.shape[:2]
    unit = min(height, width) / 192
    draw = rng.random()
    if draw < config.blur:
        return cv2.GaussianBlur(image, (0, 0), max(0.2, _uniform(rng, config.blur_sigma) * unit))
    draw -= config.blur
    if draw < config.motion_blur:
        kernel = motion_kernel(_uniform(rng, config.motion_length) * unit, rng.uniform(0, np.pi))
        return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    draw -= config.motion_blur
    if draw < config.low_resolution:
        factor = _uniform(rng, config.low_resolution_factor)
        reduced = (max(8, round(width * factor)), max(8, round(height * factor)))
        small = cv2.resize(image, reduced, interpolation=cv2.INTER_AREA)
        enlarge = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)[rng.integers(3)]
        return cv2.resize(small, (width, height), interpolation=enlarge)
    return image


def _sensor(image: np.ndarray, rng: np.random.Generator, config: DegradeConfig) -> np.ndarray:
    """Add read noise and shot noise, colored or as brightness only."""
    if rng.random() >= config.noise:
        return image
    read, shot = _uniform(rng, config.read_noise), _uniform(rng, config.shot_noise)
    channels = 1 if rng.random() < 0.4 else 3  # cameras that filter color noise leave brightness noise
    noise = rng.standard_normal((*image.shape[:2], channels), dtype=np.float32)
    if rng.random() < 0.3:
        noise = 1.8 * cv2.GaussianBlur(noise, (0, 0), 0.7).reshape(noise.shape)  # demosaicking makes grain coarser
    light = np.maximum(image if channels == 3 else (image @ _LUMA)[..., None], 0)
    return image + noise * cv2.sqrt(read**2 + np.float32(shot**2) * light).reshape(noise.shape)


def degrade(image: np.ndarray, rng: np.random.Generator, config: DegradeConfig) -> np.ndarray:
    """Degrade a clean (H, W, 3) float RGB image, 0..255 in display space, to uint8.

    Nothing moves, so landmarks stay valid.
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"degrade needs an RGB image (H, W, 3), got an array of shape {image.shape}")
    out = image.astype(np.float32, copy=False)
    for effect in (_light, _tone, _optics, _sensor):  # in the order in which light becomes an image
        out = effect(out, rng, config)
    pixels = np.clip(out + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < config.jpeg:
        quality = round(_uniform(rng, config.jpeg_quality))
        # The codec takes BGR; with RGB in its place red would be stored as coarsely as blue.
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        pixels = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return pixels
