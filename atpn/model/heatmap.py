"""The landmark heatmap (thesis, equation 3.1): attention from predicted landmarks, without parameters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FLOOR = 0.5
"""Minimum of the heatmap, so that features far from landmarks are kept."""
DISTANCE_CELLS = 28
"""Distances are in cells of the 28² grid, for every grid of the heatmap."""
REACH = 3.0
"""Cells at which 1/sqrt(1 + distance) meets the floor."""


def landmark_heatmap(landmarks: Tensor, grid: int = DISTANCE_CELLS) -> Tensor:
    """Map (B, N, 2) landmarks in [0, 1] of the crop to a (B, 1, grid, grid) map in [0.5, 1].

    max(0.5, 1/sqrt(1 + distance to the nearest landmark)). Offsets are clamped per axis at REACH, which the floor makes
    exact; relu6 does it, since int8 TFLite has no two-sided clamp. The landmarks get no gradient: the heatmap is
    attention.
    """
    cells = landmarks.detach().float() * DISTANCE_CELLS
    centers = (torch.arange(grid, dtype=torch.float32, device=landmarks.device) + 0.5) * (DISTANCE_CELLS / grid)
    offsets = F.relu6(centers - cells[..., None] + REACH) - REACH  # (B, N, 2, grid)
    squared = offsets * offsets
    dx2, dy2 = squared[:, :, 0, None, :], squared[:, :, 1, :, None]
    nearest = torch.sqrt((dx2 + dy2).amin(dim=1, keepdim=True))  # (B, 1, grid, grid)
    return F.relu(torch.rsqrt(1.0 + nearest) - FLOOR) + FLOOR
