"""The backbone: MobileNetV3 blocks with features at a quarter, an eighth and a sixteenth of the input."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from atpn.model.blocks import InvertedResidual
from atpn.model.config import ATPNConfig
from atpn.model.layers import Activation, HardSwish, conv_norm

STEM = 16
LOW, MID, HIGH = 32, 48, 112
"""Channels at width 1.0, chosen to fill the thesis' budgets; it gives only the grids."""


class Features(NamedTuple):
    """Features at three levels; grids at a 112 px input."""

    low: Tensor
    """(B, 32, 28, 28), after the 4th block: also feeds the tracking and pose branches."""
    mid: Tensor
    """(B, 48, 14, 14)."""
    high: Tensor
    """(B, 112, 7, 7)."""


def low_layers(config: ATPNConfig) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the first convolution and the four blocks that lead to the low features."""
    c = config.channels
    stem = conv_norm(3, c(STEM), kernel=3, stride=2)
    blocks = nn.Sequential(
        InvertedResidual(c(STEM), c(STEM), c(STEM), activation=nn.ReLU),
        InvertedResidual(c(STEM), c(48), c(24), stride=2, activation=nn.ReLU),
        InvertedResidual(c(24), c(64), c(24), activation=nn.ReLU),
        InvertedResidual(c(24), c(64), c(LOW), activation=nn.ReLU),
    )
    return stem, blocks


def coarse_activation(config: ATPNConfig) -> Activation:
    """Return the activation on the coarse grids and of vectors."""
    return HardSwish if config.hard_swish else nn.ReLU


class Backbone(nn.Module):
    """Features of a normalized crop. ReLU on the fine grids, hard swish and squeeze-excite on the coarse ones."""

    def __init__(self, config: ATPNConfig) -> None:
        super().__init__()
        c = config.channels
        plain = {"activation": coarse_activation(config)}
        squeezed = plain | {"squeeze": config.squeeze_excite}
        self.stem, self.low = low_layers(config)
        self.mid = nn.Sequential(
            InvertedResidual(c(LOW), c(112), c(MID), stride=2, **plain),
            InvertedResidual(c(MID), c(128), c(MID), **squeezed),
            InvertedResidual(c(MID), c(128), c(MID), **squeezed),
        )
        self.high = nn.Sequential(
            InvertedResidual(c(MID), c(256), c(HIGH), stride=2, **squeezed),
            InvertedResidual(c(HIGH), c(432), c(HIGH), **squeezed),
            InvertedResidual(c(HIGH), c(432), c(HIGH), **squeezed),
        )

    def forward(self, x: Tensor) -> Features:
        """Return the features of (B, 3, S, S) normalized images."""
        low = self.low(self.stem(x))
        mid = self.mid(low)
        return Features(low, mid, self.high(mid))
