"""Blocks: inverted residual, its downsampling form, multiview."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from atpn.model.layers import Activation, HardSwish, SqueezeExcite, conv_norm, depthwise_norm


class InvertedResidual(nn.Module):
    """MobileNetV3 block: expand, depthwise 3×3, optional squeeze and excite, project; residual where shapes agree.

    At stride 2 a 2×2 convolution of stride 2 expands and downsamples at once: as many multiplications as MobileNetV3's
    1×1 expansion on the fine grid, but the wide tensor exists only on the coarse one. On a CPU that trains a block
    twice to four times as fast as a strided depthwise convolution.
    """

    def __init__(
        self,
        inputs: int,
        expanded: int,
        outputs: int,
        stride: int = 1,
        squeeze: bool = False,
        activation: Activation = HardSwish,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride must be 1 or 2, got {stride}")
        layers: list[nn.Module] = []
        if stride == 2 or expanded != inputs:
            layers.append(conv_norm(inputs, expanded, kernel=stride, stride=stride, activation=activation))
        layers.append(depthwise_norm(expanded, activation))
        if squeeze:
            layers.append(SqueezeExcite(expanded))
        layers.append(conv_norm(expanded, outputs, activation=None))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, S, S) to (B, outputs, S / stride, S / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class Multiview(nn.Module):
    """Three 3×3 convolutions in a row, seeing 3, 5 and 7 cells; their outputs side by side, added to the input.

    Thesis figure 3.3, after the hierarchical, parallel and multi-scale block of Bulat and Tzimiropoulos (2017).
    Separable: each is a depthwise 3×3 convolution and a pointwise one.
    """

    def __init__(self, channels: int, separable: bool = False, activation: Activation = HardSwish) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.near = _view(channels, channels - half, separable, activation)
        self.middle = _view(channels - half, half - quarter, separable, activation)
        self.far = _view(half - quarter, quarter, separable, activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, S, S) to the same shape."""
        near = self.near(x)
        middle = self.middle(near)
        return x + torch.cat([near, middle, self.far(middle)], dim=1)


def _view(inputs: int, outputs: int, separable: bool, activation: Activation) -> nn.Sequential:
    if separable:
        return nn.Sequential(depthwise_norm(inputs, nn.ReLU), conv_norm(inputs, outputs, activation=activation))
    return conv_norm(inputs, outputs, 3, activation=activation)
