"""Face detector: a small network that gives a tracker its first ROI.

Each cell of one fine grid predicts whether a face's center lies in it, and the face's size (the keypoint form of Zhou,
Wang and Krähenbühl, "Objects as Points", 2019): no anchors, one scale for faces of 7 to 190 pixels.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from atpn.model.atpn import IMAGE_MEAN, IMAGE_STD
from atpn.model.blocks import InvertedResidual
from atpn.model.config import MAX_INPUT_SIZE
from atpn.model.layers import conv_norm, coordinate_grid, depthwise_norm
from atpn.model.network import Network

STRIDE = 4
"""Pixels of the image per cell of the output grid."""
COARSEST = 32
"""Pixels per cell of the coarsest features."""
PRIOR = 0.01
"""Initial probability of a face in each cell."""
REFERENCE_SIZE = 0.25
"""Initial region size, in image sides."""


@dataclass(frozen=True)
class DetectorConfig:
    """Architecture of a detector; detectors with equal configs can load each other's weights."""

    input_size: int = 192
    """Side of the square image in pixels."""

    def __post_init__(self) -> None:
        if not 2 * COARSEST <= self.input_size <= MAX_INPUT_SIZE or self.input_size % COARSEST:
            raise ValueError(
                f"a detector's input_size must be a multiple of {COARSEST}, from {2 * COARSEST} to {MAX_INPUT_SIZE}, "
                f"got {self.input_size}"
            )

    @property
    def grid(self) -> int:
        """Cells along a side of the grid that faces are read from."""
        return self.input_size // STRIDE


class Detections(NamedTuple):
    """Predictions of each cell; G is the grid's side."""

    logits: Tensor
    """(B, G, G) of a face's center in the cell."""
    regions: Tensor
    """(B, G, G, 3): x and y of the center, and the size, of the face's upright ROI by the crop rule; in [0, 1] of the
    image's side, where cell and pixel centers lie at (i + 0.5) / count."""
    turns: Tensor
    """(B, G, G, 2): sine and cosine of the ROI's roll, not normalized."""


class FaceDetector(Network):
    """Inverted residuals down to a thirty-second, then back up to a quarter by additions; 0.1 M parameters."""

    PARTS = ("down", "up", "head")
    config: DetectorConfig
    image_mean: Tensor
    image_std: Tensor
    cells: Tensor

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("image_mean", torch.tensor(IMAGE_MEAN)[:, None, None])
        self.register_buffer("image_std", torch.tensor(IMAGE_STD)[:, None, None])
        self.down = nn.ModuleList(
            [
                nn.Sequential(
                    conv_norm(3, 8, kernel=3, stride=2),
                    InvertedResidual(8, 24, 16, stride=2, activation=nn.ReLU),
                ),
                nn.Sequential(
                    InvertedResidual(16, 64, 24, stride=2, activation=nn.ReLU),
                    InvertedResidual(24, 64, 24, activation=nn.ReLU),
                    InvertedResidual(24, 64, 24, activation=nn.ReLU),
                ),
                nn.Sequential(
                    InvertedResidual(24, 96, 48, stride=2, activation=nn.ReLU),
                    InvertedResidual(48, 128, 48, activation=nn.ReLU),
                    InvertedResidual(48, 128, 48, activation=nn.ReLU),
                ),
                nn.Sequential(
                    InvertedResidual(48, 128, 64, stride=2, activation=nn.ReLU),
                    InvertedResidual(64, 160, 64, activation=nn.ReLU),
                ),
            ]
        )
        widths = (16, 24, 48, 64)
        self.up = nn.ModuleList(conv_norm(coarse, fine, activation=None) for fine, coarse in itertools.pairwise(widths))
        # Three depthwise layers widen the receptive field of the finest cells.
        self.head = nn.Sequential(
            depthwise_norm(16, nn.ReLU, kernel=5),
            conv_norm(16, 32),
            depthwise_norm(32, nn.ReLU),
            conv_norm(32, 32),
            nn.Conv2d(32, 6, 1),
        )
        last = self.head[-1]
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        nn.init.constant_(last.bias[:1], math.log(PRIOR / (1 - PRIOR)))
        grid = (coordinate_grid(config.grid)[0].permute(1, 2, 0) + 1) / 2
        self.register_buffer("cells", grid.contiguous(), persistent=False)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FaceDetector:
        """See `Network.from_config`."""
        return cls(DetectorConfig(**config))

    def resized(self, size: int) -> FaceDetector:
        """Return a copy for another input size, with the same weights."""
        other = FaceDetector(DetectorConfig(input_size=size))
        other.load_state_dict(self.state_dict())
        return other.to(self.image_mean.device).train(self.training)

    def forward(self, image: Tensor) -> Detections:
        """Return the predictions of each cell for (B, 3, S, S) RGB images, 0 to 255."""
        size = self.config.input_size
        if image.shape[1:] != (3, size, size):
            raise ValueError(f"this detector takes (B, 3, {size}, {size}) images, got {tuple(image.shape)}")
        return self.read(self.features((image - self.image_mean) / self.image_std))

    def features(self, x: Tensor) -> Tensor:
        """Map (B, 3, S, S) normalized images to the (B, 16, G, G) features that predictions are read from."""
        levels = []
        for step in self.down:
            x = step(x)
            levels.append(x)
        for lateral, finer in zip(reversed(self.up), reversed(levels[:-1]), strict=True):
            x = torch.relu(finer + nn.functional.interpolate(lateral(x), scale_factor=2.0, mode="nearest"))
        return x

    def read(self, features: Tensor) -> Detections:
        """Map features to the predictions of each cell."""
        out = self.head(features).permute(0, 2, 3, 1).float()
        # Offsets are in cells; the size is bounded, so that it cannot overflow.
        center = self.cells + out[..., 1:3] / self.config.grid
        size_ = REFERENCE_SIZE * torch.exp(out[..., 3:4].clamp(-4.0, 2.0))
        return Detections(out[..., 0], torch.cat([center, size_], dim=-1), out[..., 4:])
