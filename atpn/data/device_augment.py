"""Photometric augmentation of a batch on a device, with the same distributions as `augment.augment`.

Parameters are drawn per crop on the host, noise on the device, so that nothing waits for the device. Gray levels stay
floats between the steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from atpn.data.augment import AugmentConfig, motion_kernel

_Change = Callable[[Tensor, AugmentConfig, np.random.Generator, torch.Generator], Tensor]


def augment_batch(images: Tensor, config: AugmentConfig, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
    """Augment (B, S, S, 3) float RGB images (0 to 255) in place; `noise` is a generator of their device."""
    changes: list[tuple[float, _Change]] = [
        (config.cover, _cover),
        (config.tone, _tone),
        (config.channel_order, _channel_order),
        (config.gray, lambda chosen, *_: to_gray(chosen)),
        (config.low_resolution, _low_resolution),
        (config.blur, _blur),
        (config.motion_blur, _motion_blur),
        (config.noise, _noise),
        (config.jpeg, _jpeg),
    ]
    for probability, change in changes:
        if change is _channel_order and not probability:
            continue  # drawn only if used: old seeds stay valid
        rows = np.flatnonzero(rng.random(len(images)) < probability)
        if len(rows):
            chosen = torch.from_numpy(rows).to(images.device, non_blocking=True)
            images[chosen] = change(images[chosen], config, rng, noise)
    return images


def _cover(images: Tensor, config: AugmentConfig, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
    """Cover one or two rectangles with a flat color, noise, or another part of the image."""
    count, side = images.shape[:2]
    two = rng.random((count, 1)) < 0.5
    for applied in (np.ones_like(two), two):
        extent = np.maximum(2, rng.uniform(*config.cover_size, (count, 2)) * side).astype(int)
        start = rng.integers(-extent // 2, side - 2)
        low, high = np.maximum(start, 0), np.where(applied, np.minimum(start + extent, side), 0)
        source = rng.integers(0, side - np.maximum(high - low, 0) + 1)
        kind = rng.choice(3, (count, 1), p=(0.5, 0.2, 0.3))
        numbers = np.hstack([low, high, source, kind, rng.integers(0, 256, (count, 3))])
        numbers = torch.from_numpy(numbers).to(images.device, non_blocking=True)
        images = cover(images, *numbers.split([2, 2, 2, 1, 3], dim=1), noise)
    return images


def cover(
    images: Tensor, low: Tensor, high: Tensor, source: Tensor, kind: Tensor, color: Tensor, noise: torch.Generator
) -> Tensor:
    """Cover a rectangle of each image, from (B, 2) pixels `low` (y, x) to before `high`; an empty one changes nothing.

    `kind` is (B, 1): 0 fills in `color` (B, 3), 1 noise, 2 what lies at `source` (B, 2) of the same size.
    """
    count, side = images.shape[:2]
    cell = torch.arange(side, device=images.device)
    inside = (cell >= low[..., None]) & (cell < high[..., None])
    source_cell = (cell - low[..., None] + source[..., None]).clamp(0, side - 1)
    each = torch.arange(count, device=images.device)[:, None, None]
    part = images[each, source_cell[:, 0, :, None], source_cell[:, 1, None, :]]
    grain = torch.randint(256, images.shape, generator=noise, device=images.device)
    kind = kind[..., None, None]
    filling = torch.where(kind == 2, part, torch.where(kind == 1, grain, color[:, None, None]))
    return torch.where((inside[:, 0, :, None] & inside[:, 1, None, :])[..., None], filling, images)


def _tone(images: Tensor, config: AugmentConfig, rng: np.random.Generator, _: torch.Generator) -> Tensor:
    count = len(images)
    gamma = np.exp(rng.normal(0.0, config.gamma_sigma, (count, 1)))
    contrast = np.exp(rng.normal(0.0, config.contrast_sigma, (count, 1)))
    gains = contrast * np.exp(rng.normal(0.0, config.gain_sigma, (count, 3)))
    offset = rng.normal(0.0, config.brightness_sigma, (count, 1)) + 127.5 * (1 - contrast)
    return tone(images, *_uploaded(images, np.hstack([gamma, gains, offset])).split([1, 3, 1], dim=1))


def tone(images: Tensor, gamma: Tensor, gains: Tensor, offset: Tensor) -> Tensor:
    """Apply a tone curve to each image; `gamma` and `offset` (gray levels) are (B, 1), `gains` (B, 3) per channel."""
    gamma, gains, offset = (values[:, None, None] for values in (gamma, gains, offset))
    return (255 * (images / 255) ** gamma * gains + offset).clamp(0, 255)


def _channel_order(images: Tensor, _: AugmentConfig, rng: np.random.Generator, __: torch.Generator) -> Tensor:
    """Reorder each image's channels at random."""
    order = rng.permuted(np.tile(np.arange(3), (len(images), 1)), axis=1)
    order = torch.from_numpy(order).to(images.device, non_blocking=True)
    return images.gather(3, order[:, None, None].expand_as(images))


def to_gray(images: Tensor) -> Tensor:
    """Replace all three channels by the luma."""
    return (images @ _uploaded(images, _YCC[0]))[..., None].expand_as(images)


def _low_resolution(images: Tensor, config: AugmentConfig, rng: np.random.Generator, _: torch.Generator) -> Tensor:
    side = images.shape[1]
    small = np.maximum(8, np.round(side * rng.uniform(config.min_resolution, 0.8, len(images))))
    return filter_axes(images, resolution_matrices(_uploaded(images, small), side))


def resolution_matrices(small: Tensor, side: int) -> Tensor:
    """Return (B, S, S) matrices that shrink a line of S pixels to (B,) pixels by area, then enlarge it linearly."""
    cell = torch.arange(side, device=small.device)
    small = small[:, None, None]
    scale = side / small
    begin = cell[:, None] * scale
    # Rows beyond the shrunk line get weight zero below.
    area = (torch.minimum(begin + scale, cell + 1) - torch.maximum(begin, cell)).clamp_min(0) / scale
    place = ((cell[:, None] + 0.5) / scale - 0.5).clamp_min(0).minimum(small - 1)
    return (1 - (place - cell).abs()).clamp_min(0) @ area


def _blur(images: Tensor, config: AugmentConfig, rng: np.random.Generator, _: torch.Generator) -> Tensor:
    side = images.shape[1]
    sigma = rng.uniform(*config.blur_sigma, len(images)) * side
    return filter_axes(images, gaussian_matrices(_uploaded(images, sigma), side))


def gaussian_matrices(sigma: Tensor, side: int) -> Tensor:
    """Return (B, S, S) Gaussian filters of a line, with (B,) standard deviations and the kernel widths of OpenCV.

    The line is mirrored about its end pixels.
    """
    cell = torch.arange(side, device=sigma.device)
    across = cell[:, None] + cell
    far = 4 * side  # end pixels have no mirror image
    mirrored_low = torch.where(cell > 0, across, far)
    mirrored_high = torch.where(cell < side - 1, 2 * (side - 1) - across, far)
    distance = torch.stack([(cell[:, None] - cell).abs(), mirrored_low, mirrored_high])
    sigma = sigma[:, None, None, None]
    radius = ((6 * sigma + 1).round() / 2).floor()
    weights = (torch.exp(-((distance / sigma) ** 2) / 2) * (distance <= radius)).sum(dim=1)
    return weights / weights.sum(dim=-1, keepdim=True)


def filter_axes(images: Tensor, matrices: Tensor) -> Tensor:
    """Apply (B, S, S) filters to the rows and to the columns of (B, S, S, C) images."""
    return torch.einsum("bij,bkjc->bkic", matrices, torch.einsum("bij,bjkc->bikc", matrices, images))


def _motion_blur(images: Tensor, config: AugmentConfig, rng: np.random.Generator, _: torch.Generator) -> Tensor:
    # Kernels are drawn one by one, as `augment` draws them: for the few crops that move, 20 µs each.
    lengths = images.shape[1] * rng.uniform(*config.motion_length, len(images))
    kernels = [motion_kernel(*pair) for pair in zip(lengths, rng.uniform(0.0, np.pi, len(images)), strict=True)]
    stack = np.zeros((len(kernels), *(max(len(kernel) for kernel in kernels),) * 2), np.float32)
    for room, kernel in zip(stack, kernels, strict=True):
        margin = (len(room) - len(kernel)) // 2
        room[margin : margin + len(kernel), margin : margin + len(kernel)] = kernel
    return filter_images(images, _uploaded(images, stack))


def filter_images(images: Tensor, kernels: Tensor) -> Tensor:
    """Filter (B, S, S, 3) images with (B, K, K) kernels, K odd; edges are repeated."""
    reach = kernels.shape[1] // 2
    padded = F.pad(images.permute(3, 0, 1, 2), (reach,) * 4, mode="replicate")
    return F.conv2d(padded, kernels[:, None], groups=len(kernels)).permute(1, 2, 3, 0)


def _noise(images: Tensor, config: AugmentConfig, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
    sigma = _uploaded(images, rng.uniform(*config.noise_sigma, (len(images), 1, 1, 1)))
    return (images + sigma * torch.randn(images.shape, generator=noise, device=images.device)).clamp(0, 255)


def _jpeg(images: Tensor, config: AugmentConfig, rng: np.random.Generator, _: torch.Generator) -> Tensor:
    return jpeg(images, rng.integers(*config.jpeg_quality, len(images)))


# ITU-T T.81, tables K.1 and K.2.
_LUMA_STEPS = """
    16 11 10 16  24  40  51  61    12 12 14 19  26  58  60  55    14 13 16 24  40  57  69  56
    14 17 22 29  51  87  80  62    18 22 37 56  68 109 103  77    24 35 55 64  81 104 113  92
    49 64 78 87 103 121 120 101    72 92 95 98 112 100 103  99
"""
_CHROMA_STEPS = """
    17 18 24 47 99 99 99 99    18 21 26 66 99 99 99 99    24 26 56 99 99 99 99 99    47 66 99 99 99 99 99 99
    99 99 99 99 99 99 99 99    99 99 99 99 99 99 99 99    99 99 99 99 99 99 99 99    99 99 99 99 99 99 99 99
"""
_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""Red, green and blue to luma and the two chroma channels (JFIF)."""
_N = np.arange(8)
_COSINES = np.cos((2 * _N + 1) * _N[:, None] * np.pi / 16) / np.where(_N[:, None] == 0, 8**0.5, 2)
_BLOCK_COSINES = np.kron(_COSINES, _COSINES)
"""(64, 64) orthonormal cosine transform of a block's pixels, row by row."""


def jpeg(images: Tensor, quality: np.ndarray) -> Tensor:
    """Return (B, S, S, 3) images after JPEG compression with (B,) qualities and halved chroma.

    As in `augment`, the encoder takes the channels as blue, green, red.
    """
    side = images.shape[1]
    padded = F.pad(images.flip(-1).permute(0, 3, 1, 2), (0, -side % 16) * 2, mode="replicate")
    planes = torch.einsum("ij,bjyx->biyx", _uploaded(images, _YCC), padded)
    luma = _quantized(planes[:, :1] - 128, _steps(_LUMA_STEPS, quality)) + 128
    chroma = _quantized(F.avg_pool2d(planes[:, 1:], 2), _steps(_CHROMA_STEPS, quality))
    planes = torch.cat([luma, F.interpolate(chroma, scale_factor=2, mode="bilinear")], dim=1)
    decoded = torch.einsum("ij,bjyx->byxi", _uploaded(images, np.linalg.inv(_YCC)), planes)
    return decoded[:, :side, :side].flip(-1).clamp(0, 255)


def _steps(table: str, quality: np.ndarray) -> np.ndarray:
    """Return (B, 64) quantization steps, scaled as by libjpeg."""
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)[:, None]
    return np.clip((np.array(table.split(), int) * scale + 50) // 100, 1, 255)


def _quantized(planes: Tensor, steps: np.ndarray) -> Tensor:
    """Round the cosine coefficients of (B, P, H, W) planes' 8 x 8 blocks to multiples of (B, 64) steps."""
    count, channels, height, width = planes.shape
    blocks = planes.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4).flatten(4)
    cosines, step = _uploaded(planes, _BLOCK_COSINES), _uploaded(planes, steps)[:, None, None, None]
    blocks = ((blocks @ cosines.T) / step).round() * step @ cosines
    return blocks.unflatten(4, (8, 8)).transpose(3, 4).reshape(planes.shape)


def _uploaded(images: Tensor, values: np.ndarray) -> Tensor:
    """Return float32 values on the images' device."""
    return torch.from_numpy(values.astype(np.float32)).to(images.device, non_blocking=True)
