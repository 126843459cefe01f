"""Decoded images on a device, and batches of crops from them: `geometry.extract_crop` for many crops at once."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from atpn.data.rois import ROIs

MAX_SAMPLES = 2**23
"""Samples computed at once over all crops: bounds intermediate results to about a gigabyte."""


class DeviceImages:
    """uint8 images of any sizes, resident on a device as one row of pixels."""

    def __init__(self, images: Iterable[np.ndarray], device: torch.device) -> None:
        """Upload (H, W, 3) uint8 images; ValueError if the device lacks memory for them."""
        images = list(images)
        self.sizes = np.array([image.shape[:2] for image in images], np.int64).reshape(-1, 2)
        """(n, 2) heights and widths in pixels."""
        ends = self.sizes.prod(axis=1).cumsum().tolist()
        try:
            self._pixels = torch.empty((ends[-1] if ends else 0, 3), dtype=torch.uint8, device=device)
        except torch.OutOfMemoryError as error:
            raise ValueError(
                f"{len(images)} decoded images take {3 * ends[-1] >> 20} MiB, which {device} does not have; "
                "use --loader processes or fewer images"
            ) from error
        starts = [0, *ends[:-1]]
        for image, start, end in zip(images, starts, ends, strict=False):
            self._pixels[start:end] = torch.from_numpy(np.ascontiguousarray(image)).view(-1, 3)
        self._places = torch.from_numpy(np.column_stack([starts[: len(images)], self.sizes])).to(device)

    @property
    def device(self) -> torch.device:
        """Where the images are and crops are made."""
        return self._pixels.device

    def crops(self, rows: np.ndarray, rois: ROIs, flipped: np.ndarray, crop_size: int) -> Tensor:
        """Return (B, S, S, 3) float32 gray levels, not rounded, on the device.

        The rule is `extract_crop`'s: bilinear, edges repeated, finer samples averaged where a crop shrinks its image
        more than twofold. `rows` are (B,) indices of images; a flipped crop is mirrored left to right.
        """
        crops = torch.empty((len(rows), crop_size, crop_size, 3), device=self.device)
        factors = rois.oversampling(crop_size)
        for factor in np.unique(factors).tolist():
            alike, side = np.flatnonzero(factors == factor), crop_size * factor
            for some in np.array_split(alike, math.ceil(len(alike) * side**2 / MAX_SAMPLES)):
                fine = self._sampled(rows[some], rois[some].frame_matrices(side, flipped[some]), side)
                blocks = fine.view(len(some), crop_size, factor, crop_size, factor, 3)
                crops[self._uploaded(some)] = blocks.mean(dim=(2, 4))
        return crops

    def _sampled(self, rows: np.ndarray, matrices: np.ndarray, side: int) -> Tensor:
        """Return (b, side, side, 3) bilinear samples of images at (b, 2, 3) affine maps of the output pixels."""
        start, height, width = self._places[self._uploaded(rows)].view(-1, 3, 1, 1).unbind(1)
        matrix = self._uploaded(matrices.astype(np.float32))[..., None, None]
        cell = torch.arange(side, dtype=torch.float32, device=self.device)
        x, y = (matrix[:, k, 0] * cell + matrix[:, k, 1] * cell[:, None] + matrix[:, k, 2] for k in (0, 1))
        # Beyond the edge pixels the image repeats them.
        x, y = x.clamp_min(0).minimum(width - 1), y.clamp_min(0).minimum(height - 1)
        left, top = x.long(), y.long()
        right, bottom = (left + 1).minimum(width - 1), (top + 1).minimum(height - 1)
        across, down = (x - left)[..., None], (y - top)[..., None]
        upper, lower = start + top * width, start + bottom * width
        rows_of = [torch.lerp(self._at(line + left), self._at(line + right), across) for line in (upper, lower)]
        return torch.lerp(*rows_of, down)

    def _at(self, index: Tensor) -> Tensor:
        # Several times as fast as indexing with the same tensor.
        return self._pixels.index_select(0, index.flatten()).view(*index.shape, 3).float()

    def _uploaded(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)
