"""One heatmap per landmark, for losses that were written for heatmaps (`train.losses.heatmap_star` and others).

It stands beside the linear head to compare with the papers' formulas as they are; `heatmap.py` is another thing, the
thesis' attention.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atpn.model.backbone import LOW
from atpn.model.config import ATPNConfig
from atpn.model.layers import HardSwish, conv_norm, depthwise_norm

GAUSSIAN_SIGMA = 1.5
"""Standard deviation in cells of the Gaussian that a `gaussian` heatmap learns; its peak is 1."""
PEAK_REACH = 2
"""Cells on each side of the maximum over which a `gaussian` heatmap's peak is averaged."""


class HeatmapHead(nn.Module):
    """Heatmaps from the fine features, on a grid of half the input's side: as fine for a face as in the papers."""

    def __init__(self, config: ATPNConfig) -> None:
        super().__init__()
        fine = 2 * config.channels(LOW)
        self.kind = config.heatmaps
        self.upsample = nn.ConvTranspose2d(fine, fine, 2, stride=2, bias=False)
        self.layers = nn.Sequential(
            nn.BatchNorm2d(fine),
            HardSwish(),
            depthwise_norm(fine, HardSwish),
            conv_norm(fine, fine, activation=HardSwish),
        )
        self.output = nn.Conv2d(fine, config.landmark_count, 1)
        if self.kind == "gaussian":
            nn.init.normal_(self.output.weight, std=0.001)  # maps begin empty, as they mostly are
            nn.init.zeros_(self.output.bias)

    def forward(self, fine: Tensor) -> Tensor:
        """Map (B, 64, G, G) fine features to (B, N, 2G, 2G) heatmaps, float32 also inside autocast.

        `distribution`: each sums to 1. `gaussian`: values of any sign.
        """
        maps = self.output(self.layers(self.upsample(fine))).float()
        return maps if self.kind == "gaussian" else maps.flatten(2).softmax(dim=2).view_as(maps)

    def read(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, N, 2) landmarks in [0, 1] of the crop and (B, N) log standard deviations of (B, N, G, G) heatmaps.

        `distribution`: mean and spread. `gaussian`: the centroid around the maximum, and the learned Gaussian's spread,
        which is the same everywhere.
        """
        if self.kind == "gaussian":
            landmarks = peaks(maps)
            return landmarks, torch.full_like(landmarks[..., 0], GAUSSIAN_SIGMA / maps.shape[-1]).log()
        mean, covariance = moments(maps)
        variance = covariance.diagonal(dim1=-2, dim2=-1).mean(dim=-1)
        return mean, variance.clamp_min(1e-12).log() / 2


def cell_centers(grid: int, like: Tensor) -> Tensor:
    """Return the (grid,) centers of cells along a side, in [0, 1]."""
    return (torch.arange(grid, dtype=like.dtype, device=like.device) + 0.5) / grid


def moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean (B, N, 2) and covariance (B, N, 2, 2) of (B, N, G, G) maps that sum to 1, in [0, 1] of the crop.

    The mean is the soft-argmax. The covariance is unbiased for weights: divided by 1 minus the sum of squared weights.
    """
    centers = cell_centers(maps.shape[-1], maps)
    columns, rows = maps.sum(dim=-2), maps.sum(dim=-1)  # (B, N, G)
    mean = torch.stack([columns @ centers, rows @ centers], dim=-1)
    across, down = centers - mean[..., :1], centers - mean[..., 1:]
    xx, yy = (columns * across.square()).sum(-1), (rows * down.square()).sum(-1)
    xy = ((maps @ across[..., None])[..., 0] * down).sum(-1)
    bias = (1.0 - maps.square().sum(dim=(-2, -1))).clamp_min(1e-6)
    covariance = torch.stack([torch.stack([xx, xy], -1), torch.stack([xy, yy], -1)], -2)
    return mean, covariance / bias[..., None, None]


def peaks(maps: Tensor) -> Tensor:
    """Return the (B, N, 2) centroids of the positive values around each map's maximum, in [0, 1] of the crop."""
    grid = maps.shape[-1]
    best = maps.flatten(2).argmax(dim=2)
    cells = torch.arange(grid, device=maps.device)
    near = [(cells - index[..., None]).abs() <= PEAK_REACH for index in (best % grid, best // grid)]
    weights = F.relu(maps) * near[0][..., None, :] * near[1][..., None]
    total = weights.sum(dim=(-2, -1)).clamp_min(1e-12)
    centers = cell_centers(grid, maps)
    found = torch.stack([weights.sum(-2) @ centers, weights.sum(-1) @ centers], dim=-1) / total[..., None]
    maximum = torch.stack([centers[best % grid], centers[best // grid]], dim=-1)
    return torch.where((total > 1e-9)[..., None], found, maximum)
