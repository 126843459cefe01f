"""The tracking and pose branches (thesis, section 3.2.2): MobileNetV3 blocks on heatmap-weighted low features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from atpn.model.backbone import LOW, coarse_activation, low_layers
from atpn.model.blocks import InvertedResidual
from atpn.model.config import ATPNConfig
from atpn.model.layers import CoordConv, GlobalDepthwise, near_zero_linear


class _Branch(nn.Module):
    """Low features, or the image if the branch has low layers of its own, to (B, outputs)."""

    def __init__(self, config: ATPNConfig, outputs: int) -> None:
        super().__init__()
        c = config.channels
        activation = coarse_activation(config)
        squeezed = {"activation": activation, "squeeze": config.squeeze_excite}
        self.own_low = None if config.shared_backbone else nn.Sequential(*low_layers(config))
        self.blocks = nn.Sequential(
            InvertedResidual(c(LOW), c(96), c(40), stride=2, activation=activation),
            InvertedResidual(c(40), c(120), c(40), **squeezed),
            InvertedResidual(c(40), c(144), c(64), stride=2, **squeezed),
            InvertedResidual(c(64), c(192), c(64), **squeezed),
        )
        to_vector = {"activation": activation, "coordinates": config.coord_conv}
        self.to_vector = CoordConv(c(64), c(192), config.high_grid, **to_vector)
        self.gather = GlobalDepthwise(c(192), config.high_grid)
        self.activation = activation()
        self.output = nn.Linear(c(192), outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Map `ATPN.branch_input` to (B, outputs), float32 also inside autocast."""
        if self.own_low is not None:
            features = self.own_low(features)
        return self._read(self.activation(self.gather(self.to_vector(self.blocks(features)))))

    def _read(self, vector: Tensor) -> Tensor:
        if torch.is_autocast_enabled(vector.device.type):
            with torch.autocast(vector.device.type, enabled=False):
                return self._read(vector.float())
        return self.output(vector)


class TrackingBranch(_Branch):
    """Face classifier: (B, 32, 28, 28) features to (B, 2) logits of background and face."""

    def __init__(self, config: ATPNConfig) -> None:
        super().__init__(config, outputs=2)


class PoseBranch(_Branch):
    """Head orientation: (B, 32, 28, 28) to (B, 3) pitch, yaw, roll in radians in the crop's frame."""

    def __init__(self, config: ATPNConfig) -> None:
        super().__init__(config, outputs=3)
        nn.init.normal_(self.output.weight, std=0.001)
        nn.init.zeros_(self.output.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map `ATPN.branch_input` to angles in (-pi, pi)."""
        return torch.tanh(super().forward(features)) * math.pi


class VectorPose(nn.Module):
    """Head orientation from the face's vector and landmarks, without convolutions of its own."""

    HIDDEN = 64

    def __init__(self, config: ATPNConfig, vector: int) -> None:
        super().__init__()
        inputs = vector + 2 * config.landmark_count
        self.hidden = nn.Sequential(nn.Linear(inputs, self.HIDDEN), nn.ReLU())
        self.output = near_zero_linear(self.HIDDEN, 3)

    def forward(self, vector: Tensor, landmarks: Tensor) -> Tensor:
        """Map (B, V) vectors and (B, N, 2) landmarks to angles as `PoseBranch` does, float32 also inside autocast."""
        with torch.autocast(vector.device.type, enabled=False):
            shape = self.shape(landmarks.float()).flatten(1)
            angles = self.output(self.hidden(torch.cat([vector.float(), shape], dim=1)))
            return torch.tanh(angles) * math.pi

    @staticmethod
    def shape(landmarks: Tensor) -> Tensor:
        """Center landmarks in [0, 1] and scale them to about 1 for a face that turns."""
        return (landmarks - 0.5) * 10.0
