"""Layers of the blocks; each exports to builtin operators of every runtime."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HardSwish(nn.Module):
    """x * relu6(x + 3) / 6 (MobileNetV3, Howard et al. 2019, section 5.2)."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape; the shape stays."""
        return F.hardswish(x)


Activation = Callable[[], nn.Module]


def conv_norm(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, activation: Activation | None = nn.ReLU
) -> nn.Sequential:
    """Return a convolution, batch norm and activation; odd kernels keep the grid, even ones tile it."""
    padding = kernel // 2 if kernel % 2 else 0
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if activation is not None:
        layers.append(activation())
    return nn.Sequential(*layers)


def depthwise_norm(channels: int, activation: Activation, kernel: int = 3) -> nn.Sequential:
    """Return a depthwise convolution at stride 1, batch norm and activation."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel, 1, kernel // 2, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        activation(),
    )


def near_zero_linear(inputs: int, outputs: int, bias: float = 0.0) -> nn.Linear:
    """Return a linear layer with weights near zero and a constant bias, so that outputs begin at the bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=0.001)
    nn.init.constant_(layer.bias, bias)
    return layer


class SqueezeExcite(nn.Module):
    """Channel gates from the channels' means (Hu et al. 2018), hard sigmoid as in MobileNetV3."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(8, channels // reduction)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        # The same mean: pooling has the faster gradient, but int8 CPU delegates only know the reduction.
        means = F.avg_pool2d(x, x.shape[2:]) if self.training else x.mean((2, 3), keepdim=True)
        gates = self.expand(F.relu(self.reduce(means)))
        return x * F.hardsigmoid(gates)


class CoordConv(nn.Module):
    """Convolution over the features and two more channels, x and y in [-1, 1] (Liu et al. 2018).

    A convolution of concatenated channels is the sum of two convolutions, so the coordinates are convolved once per
    call instead of once per image, and the features are never copied. Exported files hold their part as a constant.
    """

    coordinates: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        grid: int,
        kernel: int = 1,
        stride: int = 1,
        activation: Activation = HardSwish,
        coordinates: bool = True,
    ) -> None:
        """Build the layer; without `coordinates` it is a plain convolution."""
        super().__init__()
        self.features = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.position = nn.Conv2d(2, outputs, kernel, stride, kernel // 2, bias=False) if coordinates else None
        self.norm = nn.BatchNorm2d(outputs)
        self.activation = activation()
        self.register_buffer("coordinates", coordinate_grid(grid), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, grid, grid) to (B, outputs, grid / stride, grid / stride)."""
        features = self.features(x)
        if self.position is not None:
            features = features + self.position(self.coordinates)
        return self.activation(self.norm(features))


def coordinate_grid(size: int) -> Tensor:
    """Return (1, 2, size, size): x then y of each cell's center, -1 and 1 at the grid's outer edges."""
    axis = (torch.arange(size, dtype=torch.float32) + 0.5) * (2.0 / size) - 1.0
    return torch.stack([axis.expand(size, size), axis[:, None].expand(size, size)])[None].contiguous()


class GlobalDepthwise(nn.Module):
    """A depthwise convolution as large as its input: one weight per channel and cell, (B, C, S, S) to (B, C).

    `channels_last` computes it as a product and a sum of features held channels last, as in training. LiteRT's CPU
    delegate takes as long for a convolution of this size as for fifty times as many multiplications elsewhere. Only the
    TFLite export sets it.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, 1, size, size) / size)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.channels_last = False

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, S, S) features to (B, C)."""
        if self.training or self.channels_last:
            # The gradient of so large a depthwise convolution is slow on a CPU; channels last, as the features are.
            cells = x.permute(0, 2, 3, 1) * self.weight[:, 0].permute(1, 2, 0).contiguous()
            return cells.sum((1, 2)) + self.bias
        return F.conv2d(x, self.weight, self.bias, groups=x.shape[1]).flatten(1)

    def resampled(self, size: int) -> GlobalDepthwise:
        """Return the layer for another grid; its sum over a smooth map stays about the same."""
        old = self.weight.shape[-1]
        other = GlobalDepthwise(self.weight.shape[0], size)
        kernel = F.interpolate(self.weight.detach(), (size, size), mode="bilinear", align_corners=False)
        other.weight.data.copy_(kernel * (old / size) ** 2)
        other.bias.data.copy_(self.bias.detach())
        return other


def resample_grids(network: nn.Module, before: int, after: int) -> None:
    """Adapt the layers that depend on the grid to another input size in pixels."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, GlobalDepthwise):
                resampled = child.resampled(child.weight.shape[-1] * after // before)
                resampled.requires_grad_(child.weight.requires_grad)
                setattr(parent, name, resampled.to(child.weight.device).train(child.training))
            elif isinstance(child, CoordConv):
                grid = child.coordinates.shape[-1] * after // before
                child.coordinates = coordinate_grid(grid).to(child.coordinates)
