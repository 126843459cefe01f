"""ResNet-34 and ResNet-50 (He et al., 2016) under torchvision's parameter names, so that its weight files load."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from atpn.model.imagenet import read_state_dict

DEPTHS = (3, 4, 6, 3)
"""Blocks of the four stages, of both networks."""
WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    EXPANSION = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, S, S) to (B, width, S / stride, S / stride)."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    """1×1, 3×3 (with the stride), and 1×1 convolutions and a shortcut."""

    EXPANSION = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = self.EXPANSION * width
        self.conv1, self.bn1 = _conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, S, S) to (B, 4 width, S / stride, S / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet(nn.Module):
    """Feature maps of the stages C2 to C5."""

    def __init__(self, kind: Literal["resnet34", "resnet50"]) -> None:
        super().__init__()
        block = BasicBlock if kind == "resnet34" else Bottleneck
        self.conv1, self.bn1 = _conv(3, WIDTHS[0], 7, 2), nn.BatchNorm2d(WIDTHS[0])
        self.channels = tuple(block.EXPANSION * width for width in WIDTHS)
        inputs = WIDTHS[0]
        for number, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True), start=1):
            blocks = []
            for index in range(depth):
                blocks.append(block(inputs, width, 2 if index == 0 and number > 1 else 1))
                inputs = block.EXPANSION * width
            self.add_module(f"layer{number}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, 3, S, S) normalized images to maps with sides S / 4, S / 8, S / 16, and S / 32."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        maps = []
        for number in range(1, 1 + len(DEPTHS)):
            x = self.get_submodule(f"layer{number}")(x)
            maps.append(x)
        return maps


def load_resnet(network: ResNet, path: Path) -> None:
    """Copy torchvision's ImageNet weights from its file, without the classifier.

    FileNotFoundError if there is no such file; ValueError if it does not hold this network's tensors.
    """
    source, expected = read_state_dict(path, "ResNet"), network.state_dict()
    wrong = [name for name, value in expected.items() if name not in source or source[name].shape != value.shape]
    if wrong:
        raise ValueError(
            f"{path} does not fit the backbone: {len(wrong)} of {len(expected)} tensors are missing or have another "
            f"shape, such as {wrong[0]}; give torchvision's file of the same ResNet"
        )
    network.load_state_dict({name: source[name] for name in expected})


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
