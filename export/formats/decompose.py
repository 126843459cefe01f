"""Forms of the networks' layers that converters and engines are fast with."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atpn.model.blocks import InvertedResidual
from atpn.model.expression_branch import ExpressionBranch, ReadOut
from atpn.model.landmark_branch import LandmarkBranch
from atpn.model.layers import CoordConv, GlobalDepthwise, HardSwish, SqueezeExcite
from atpn.model.refinement import Refinement


@torch.no_grad()
def fold_constants(model: nn.Module) -> None:
    """Fold what does not depend on the image into the layers of an ATPN, in place."""
    for module in model.modules():
        if isinstance(module, CoordConv):
            _fold_coordinates(module)
        if isinstance(module, LandmarkBranch):
            _fold_upsampling(module)


def use_channels_last(model: nn.Module) -> None:
    """Let layers compute channels last, as TFLite holds features, in place."""
    for module in model.modules():
        if isinstance(module, GlobalDepthwise | Refinement | ExpressionBranch | ReadOut):
            module.channels_last = True


@torch.no_grad()
def decompose_hard_swish(model: nn.Module) -> None:
    """Replace hard swish by operators that have int8 kernels in LiteRT's CPU delegate, in place."""
    for module in list(model.modules()):
        if isinstance(module, InvertedResidual) and isinstance(module.layers[-2], SqueezeExcite):
            _fold_sixths(module)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, HardSwish):
                setattr(module, name, DecomposedHardSwish())


class DecomposedHardSwish(nn.Module):
    """Hard swish as relu6(x + 3) * x * (1/6), in this order: LiteRT's converter does not recognize HARD_SWISH in it.

    With `scaled` false, the factor 1/6 is left to a later layer.
    """

    def __init__(self, scaled: bool = True) -> None:
        super().__init__()
        self.scaled = scaled

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape; the shape stays."""
        product = F.relu6(x + 3.0) * x
        return product * (1.0 / 6.0) if self.scaled else product


class UnscaledSqueezeExcite(nn.Module):
    """Squeeze and excite whose gates are six times too large."""

    def __init__(self, layer: SqueezeExcite) -> None:
        super().__init__()
        self.reduce, self.expand = layer.reduce, layer.expand

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of (B, C, H, W); the shape stays."""
        gates = self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * F.relu6(gates + 3.0)


class Constant(nn.Module):
    """A function that always returns the same tensor."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self, x: Tensor) -> Tensor:
        """Return the constant."""
        return self.value


def _fold_coordinates(layer: Any) -> None:
    """Make the convolved coordinates a constant and move batch norm into the convolution."""
    scale, shift = _scale_and_shift(layer.norm)
    layer.features.weight.mul_(scale[:, None, None, None])
    position = layer.position(layer.coordinates) * scale[:, None, None] + shift[:, None, None]
    layer.position, layer.norm = Constant(position), nn.Identity()


def _fold_upsampling(branch: Any) -> None:
    """Leave the deconvolutions without a bias, which TFLite's quantizer cannot store.

    Each is added to a lateral convolution's output, whose batch norm takes the bias over.
    """
    for upsample, lateral in (
        (branch.high_to_mid, branch.mid_lateral),
        (branch.mid_to_low, branch.low_lateral),
    ):
        scale, shift = _scale_and_shift(upsample.norm)
        upsample.deconv.weight.mul_(scale[:, None, None])
        upsample.norm = nn.Identity()
        lateral[1].bias.add_(shift)


def _scale_and_shift(norm: Any) -> tuple[Tensor, Tensor]:
    """Return what batch norm multiplies each channel by and then adds."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def _fold_sixths(block: Any) -> None:
    """Move the factors of 1/6 before and in squeeze and excite into the convolutions that follow.

    A converter folds a factor into the convolution that follows at once by itself, but not into two that follow later.
    """
    depthwise, squeeze, project = block.layers[-3:]
    factor = 6.0
    if isinstance(depthwise[-1], HardSwish):
        depthwise[-1] = DecomposedHardSwish(scaled=False)
        squeeze.reduce.weight.div_(6.0)
        factor = 36.0
    block.layers[-2] = UnscaledSqueezeExcite(squeeze)
    project[0].weight.div_(factor)
