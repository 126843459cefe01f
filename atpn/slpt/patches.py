"""Sparse local patches of feature maps (thesis, sections 4.2 and 5.2). Lengths are fractions of the crop's side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

FIRST_SIDE = 0.25
"""Side of the first stage's patches (algorithms 1 and 2)."""
INTERVAL = 6.0
"""Width of the confidence interval in standard deviations: from 3 below the mean to 3 above (section 5.2.2)."""
CONTEXT = 2.0
"""Z: side of a patch over the interval's width."""


def patch_corners(centers: Tensor, side: Tensor) -> Tensor:
    """Return the (B, N, 2) top left corners of patches around (B, N, 2) centers, with sides (B, N, 1).

    A patch that would cross the border of the crop is moved inside.
    """
    return torch.minimum((centers - side / 2).clamp_min(0.0), 1 - side)


def sample_patches(maps: Sequence[Tensor], corners: Tensor, side: Tensor, cells: int) -> Tensor:
    """Resize the patches of all maps to K × K cells by bilinear interpolation, at the cells' centers.

    Args:
        maps: Feature maps (B, C_i, H_i, W_i) of the same crops.
        corners: (B, N, 2) top left corners, x then y.
        side: (B, N, 1) sides.
        cells: K.

    Returns:
        (B, N, sum of C_i, K, K), rows from top to bottom.
    """
    steps = (torch.arange(cells, device=corners.device, dtype=corners.dtype) + 0.5) / cells
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    places = corners[:, :, None, None] + side[..., None, None] * torch.stack([x, y], dim=-1)  # (B, N, K, K, 2)
    grid = (2 * places - 1).flatten(1, 2)  # (B, N * K, K, 2)
    # In full precision: the resolution of bfloat16 in [-1, 1] is half a pixel.
    levels = [
        F.grid_sample(level.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
        for level in maps
    ]
    return torch.cat(levels, dim=1).unflatten(2, (-1, cells)).transpose(1, 2)


def next_side(side: Tensor, sigma: Tensor | None, low: float, high: float) -> Tensor:
    """Return the (B, N, 1) sides of the next stage's patches (section 5.2.2), without gradient.

    Args:
        side: (B, N, 1) present sides.
        sigma: (B, N, 2) standard deviations in patch units; None: every patch shrinks by `low`.
        low: L_down.
        high: L_up.
    """
    if sigma is None:
        return low * side
    return side * (CONTEXT * INTERVAL * sigma.detach().amax(dim=-1, keepdim=True)).clamp(low, high)
