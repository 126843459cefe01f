"""The tracking and pose branches (thesis, section 3.2.2): MobileNetV3 blocks on heatmap-weighted low features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from atpn.model.backbone import LOW
from atpn.model.blocks import InvertedResidual
from atpn.model.config import ATPNConfig
from atpn.model.layers import CoordConv, GlobalDepthwise, HardSwish

_WIDE = (40, 64, (96, 120, 144, 192), 192)


class _Branch(nn.Module):
    """(B, 32, 28, 28) weighted low features to (B, outputs)."""

    def __init__(self, config: ATPNConfig, outputs: int) -> None:
        super().__init__()
        c, squeeze = config.channels, not config.slim_branches
        # Channels of the two grids, of the blocks' expansions, and of the vector.
        mid, high, expanded, vector = (32, 48, (64, 96, 112, 144), 144) if config.slim_branches else _WIDE
        first, second, third, fourth = expanded
        self.blocks = nn.Sequential(
            InvertedResidual(c(LOW), c(first), c(mid), stride=2),
            InvertedResidual(c(mid), c(second), c(mid), squeeze=squeeze),
            InvertedResidual(c(mid), c(third), c(high), stride=2, squeeze=squeeze),
            InvertedResidual(c(high), c(fourth), c(high), squeeze=squeeze),
        )
        self.to_vector = CoordConv(c(high), c(vector), config.high_grid)
        self.gather = GlobalDepthwise(c(vector), config.high_grid)
        self.activation = HardSwish()
        self.output = nn.Linear(c(vector), outputs)

    def forward(self, weighted: Tensor) -> Tensor:
        """Weighted low features to (B, outputs), float32 also inside autocast."""
        return self._read(self.activation(self.gather(self.to_vector(self.blocks(weighted)))))

    def _read(self, vector: Tensor) -> Tensor:
        if torch.is_autocast_enabled(vector.device.type):
            with torch.autocast(vector.device.type, enabled=False):
                return self._read(vector.float())
        return self.output(vector)


class TrackingBranch(_Branch):
    """Is there a face in the crop? (B, 32, 28, 28) to logits (B, 2): background, face."""

    def __init__(self, config: ATPNConfig) -> None:
        super().__init__(config, outputs=2)


class PoseBranch(_Branch):
    """Head orientation: (B, 32, 28, 28) to (B, 3) pitch, yaw, roll in radians in the crop's frame."""

    def __init__(self, config: ATPNConfig) -> None:
        super().__init__(config, outputs=3)
        nn.init.normal_(self.output.weight, std=0.001)
        nn.init.zeros_(self.output.bias)

    def forward(self, weighted: Tensor) -> Tensor:
        """Weighted low features to angles in (-pi, pi)."""
        return torch.tanh(super().forward(weighted)) * math.pi
