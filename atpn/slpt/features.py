"""Feature maps that patches are cut from."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from atpn.model.atpn import IMAGE_MEAN, IMAGE_STD
from atpn.model.backbone import HIGH, LOW, MID, Backbone
from atpn.model.config import ATPNConfig
from atpn.model.imagenet import IMAGENET_MEAN, IMAGENET_STD
from atpn.slpt.config import SLPTConfig
from atpn.slpt.resnet import ResNet


def new_backbone(config: SLPTConfig) -> tuple[Backbone | ResNet, tuple[int, ...]]:
    """Return an untrained backbone and the channels of its levels, fine to coarse."""
    if config.backbone == "atpn":
        return Backbone(ATPNConfig()), (LOW, MID, HIGH)
    network = ResNet(config.backbone)
    return network, network.channels


def normalization(config: SLPTConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of RGB, 0 to 255, that the backbone was trained with."""
    if config.backbone == "atpn":
        return IMAGE_MEAN, IMAGE_STD
    mean, std = (tuple(255 * value for value in values) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return mean, std


class Reduction(nn.Module):
    """A 1×1 convolution of each level to the same number of channels (figure 4.4)."""

    def __init__(self, levels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(level, channels, 1) for level in levels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Reduce the maps; their grids stay."""
        return [lateral(level) for lateral, level in zip(self.lateral, maps, strict=True)]
