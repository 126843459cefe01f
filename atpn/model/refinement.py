"""Refinement of each landmark from features at its first estimate.

After the local patches of thesis chapter 5, reduced to one sample per landmark of features that convolutions have
gathered.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atpn.model.backbone import LOW
from atpn.model.config import ATPNConfig
from atpn.model.layers import conv_norm, depthwise_norm


class Refinement(nn.Module):
    """Correct each landmark by a linear function of the fine features sampled at its first estimate.

    `channels_last` samples channels last, as TFLite and training hold features; otherwise channels first, as ONNX and
    CoreML do. Either way no file has to change the layout of a feature map.
    """

    def __init__(self, config: ATPNConfig) -> None:
        super().__init__()
        low, channels, count = config.channels(LOW), config.refinement_channels, config.landmark_count
        self.project = nn.Sequential(conv_norm(2 * low, channels), depthwise_norm(channels, nn.ReLU))
        self.displacement = nn.Parameter(torch.zeros(count, channels, 2))
        """Weights of each landmark, to cells of the fine grid."""
        self.bias = nn.Parameter(torch.zeros(count, 2))
        self.log_sigma: nn.Parameter | None = nn.Parameter(torch.zeros(count, channels)) if config.uncertainty else None
        self.channels_last = False

    def forward(self, fine: Tensor, landmarks: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Correct first estimates.

        Args:
            fine: (B, 2 C, G, G) features of the fine grid (`FaceEmbedding.fine`).
            landmarks: (B, N, 2) in [0, 1] of the crop. No gradient reaches them through the choice of the place.
            log_sigma: (B, N) logarithms of standard deviations, crop widths.

        Returns:
            Corrected (B, N, 2) landmarks and (B, N) log standard deviations, float32 also inside autocast.
        """
        features = self.project(fine)
        grid = int(fine.shape[-1])  # a constant, also for converters that trace
        with torch.autocast(fine.device.type, enabled=False):
            across, down = axis_weights(landmarks.detach(), grid)
            if self.training or self.channels_last:
                samples, channels = sample_channels_last(features.float(), across, down), 2  # (B, N, K)
                cells = torch.stack([(samples * weights).sum(2) for weights in self.displacement.unbind(2)], dim=2)
            else:
                samples, channels = sample_channels_first(features.float(), across, down), 1  # (B, K, N)
                cells = (samples[..., None] * self.displacement.transpose(0, 1)).sum(channels)
            if self.log_sigma is not None:
                # Uncertainty describes the errors that the features leave; it must not shape the features.
                weights = self.log_sigma if channels == 2 else self.log_sigma.T
                log_sigma = log_sigma + (samples.detach() * weights).sum(channels)
            return landmarks + (cells + self.bias) * (1.0 / grid), log_sigma

    def elementwise_macs(self, grid: int) -> int:
        """Return the multiply-accumulates per crop that are written as products and sums; `grid`: cells per side."""
        count, channels, _ = self.displacement.shape
        outputs = 2 + (self.log_sigma is not None)
        return count * channels * (grid + outputs)


def axis_weights(points: Tensor, grid: int) -> tuple[Tensor, Tensor]:
    """Weigh the cells along each axis for bilinear sampling; beyond the outermost cells' centers weights fade to zero.

    Sampling is two products with these: mobile delegates have no operator that gathers.

    Args:
        points: (B, N, 2) x, y in [0, 1] of the map; the center of cell i is at (i + 0.5) / grid.
        grid: Cells along a side.

    Returns:
        (B, N, grid) weights of columns, then of rows.
    """
    axis = torch.arange(grid, dtype=points.dtype, device=points.device)
    hats = F.relu(1.0 - ((points * grid - 0.5)[..., None] - axis).abs())  # (B, N, 2, G)
    return hats[:, :, 0], hats[:, :, 1]


def sample_channels_last(features: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Sample (B, K, G, G) features, best stored channels last, with (B, N, G) weights: (B, N, K)."""
    cells = (down[..., None] * across[:, :, None]).flatten(2)  # (B, N, G G)
    return cells @ features.permute(0, 2, 3, 1).flatten(1, 2)


def sample_channels_first(features: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Sample (B, K, G, G) features with (B, N, G) weights: (B, K, N)."""
    rows = down[:, None] @ features  # (B, K, N, G)
    return (rows * across[:, None]).sum(3)
