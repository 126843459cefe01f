"""A second look at each landmark, where the first estimate puts it.

After the local patches of thesis chapter 5, reduced to what a phone can afford: one sample per landmark, of features
that convolutions have already gathered around it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atpn.model.backbone import LOW
from atpn.model.config import ATPNConfig
from atpn.model.layers import conv_norm, depthwise_norm


class Refinement(nn.Module):
    """Correct each landmark by a linear function of the fine features sampled at its first estimate."""

    def __init__(self, config: ATPNConfig) -> None:
        super().__init__()
        low, channels, count = config.channels(LOW), config.refinement_channels, config.landmark_count
        self.project = nn.Sequential(conv_norm(2 * low, channels), depthwise_norm(channels, nn.ReLU))
        self.displacement = nn.Parameter(torch.zeros(count, channels, 2))
        """Weights of each landmark, to cells of the fine grid."""
        self.bias = nn.Parameter(torch.zeros(count, 2))
        self.log_sigma: nn.Parameter | None = nn.Parameter(torch.zeros(count, channels)) if config.uncertainty else None

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
        with torch.autocast(fine.device.type, enabled=False):
            samples = sample_at(features.float(), landmarks.detach())  # (B, N, K)
            cells = (samples[..., None] * self.displacement).sum(dim=2) + self.bias
            if self.log_sigma is not None:
                # Uncertainty describes the errors that the features leave; it must not shape the features.
                log_sigma = log_sigma + (samples.detach() * self.log_sigma).sum(dim=2)
            return landmarks + cells * (1.0 / fine.shape[-1]), log_sigma

    def sampling_macs(self, grid: int) -> int:
        """Multiply-accumulates per crop beyond the convolutions: sampling on a grid of this side, linear functions."""
        count, channels, _ = self.displacement.shape
        outputs = 2 + (self.log_sigma is not None)
        return count * channels * (grid * grid + grid + outputs)


def sample_at(features: Tensor, points: Tensor) -> Tensor:
    """Sample features bilinearly; beyond the outermost cells' centers they fade to zero.

    Written as products with hat functions of the distance along each axis: mobile delegates have no gathering operator.

    Args:
        features: (B, K, G, G).
        points: (B, N, 2) x, y in [0, 1] of the map; a cell's center is at (i + 0.5) / G.

    Returns:
        (B, N, K).
    """
    grid = features.shape[-1]
    axis = torch.arange(grid, dtype=points.dtype, device=points.device)
    hats = F.relu(1.0 - ((points * grid - 0.5)[..., None] - axis).abs())  # (B, N, 2, G)
    across, down = hats[:, :, 0], hats[:, :, 1]
    rows = down @ features.permute(0, 2, 3, 1).flatten(2)  # (B, N, G K): each point's row of cells
    return (across[:, :, None] @ rows.unflatten(2, (grid, -1)))[:, :, 0]
