"""The expression branch: ARKit's coefficients and both eyes' gaze from features that landmarks are predicted from.

It reads the face's vector, the landmarks, and the fine features around both eyes and the mouth. Where an iris lies and
how lips are rolled is lost in one vector of a whole face.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atpn.model.backbone import LOW
from atpn.model.config import ATPNConfig
from atpn.model.landmark_branch import VECTOR, FaceEmbedding
from atpn.model.layers import HardSwish, conv_norm, depthwise_norm
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.landmarks import LandmarkScheme

CELLS = 8
"""Side of a region's grid."""
_REGIONS: tuple[tuple[str, float, float], ...] = (
    ("left_eye", 0.26, -0.04),
    ("right_eye", 0.26, -0.04),
    ("mouth", 0.40, 0.0),
)
"""Landmark group (the image's sides) whose mean is a region's center; the region's side and how far its center lies
below that mean, crop sides. Of a mean face an eye is 0.10 wide with a brow 0.09 above it; the mouth is 0.21 wide."""
_REGION_CHANNELS, _COARSE_CHANNELS, _REGION_VECTOR = 32, 24, 32
_VECTOR, _LANDMARKS, _HIDDEN = 64, 48, 96


class ExpressionOutput(NamedTuple):
    """What a face does."""

    expressions: Tensor
    """(B, 52) coefficients in [0, 1], in the order of `EXPRESSIONS`; 0 for those that are not given."""
    gaze: Tensor
    """(B, 2, 2) yaw and pitch, radians, of the subject's left and right eye, in the crop's frame."""


class ExpressionLogits(NamedTuple):
    """What the branch computes; float32 also inside autocast."""

    logits: Tensor
    """(B, 52) of the coefficients."""
    gaze: Tensor
    """See `ExpressionOutput`."""


class ExpressionBranch(nn.Module):
    """See the module's docstring. Gradients reach neither the features nor the landmarks."""

    mean_shape: Tensor
    centers: Tensor
    offsets: Tensor
    given: Tensor

    def __init__(self, config: ATPNConfig, mean_shape: Tensor) -> None:
        """Take the network's (N, 2) mean shape. ValueError for a scheme without eyes or mouth."""
        super().__init__()
        fine, vector = 2 * config.channels(LOW), config.channels(VECTOR)
        self.regions = nn.ModuleList(_region_encoder(fine) for _ in _REGIONS)
        self.vector = nn.Sequential(nn.Linear(vector, _VECTOR), HardSwish())
        self.landmarks = nn.Sequential(nn.Linear(2 * config.landmark_count, _LANDMARKS), HardSwish())
        hidden = _VECTOR + _LANDMARKS + _REGION_VECTOR * len(_REGIONS)
        self.hidden = nn.Sequential(nn.Linear(hidden, _HIDDEN), HardSwish())
        self.output = nn.Linear(_HIDDEN, len(EXPRESSIONS) + 4)
        self.register_buffer("mean_shape", mean_shape.detach().clone().float())
        self.register_buffer("centers", _centers(config.scheme), persistent=False)
        self.register_buffer("offsets", _offsets(), persistent=False)
        given = torch.tensor([float(name in config.expressions) for name in EXPRESSIONS])
        self.register_buffer("given", given, persistent=False)

    def forward(self, embedding: FaceEmbedding, landmarks: Tensor) -> ExpressionOutput:
        """Map a face's features and its (B, N, 2) landmarks in [0, 1] of the crop to coefficients and gaze."""
        logits, gaze = self.read(embedding, landmarks)
        return ExpressionOutput(logits.sigmoid() * self.given, gaze)

    def read(self, embedding: FaceEmbedding, landmarks: Tensor) -> ExpressionLogits:
        """Run `forward` up to the coefficients' logits."""
        patches = self._patches(embedding.fine, landmarks)
        regions = [encode(patches[:, i]).flatten(1) for i, encode in enumerate(self.regions)]
        shape = (landmarks - self.mean_shape).flatten(1) * 10.0  # about 1 for a face that moves
        parts = [self.vector(embedding.vector), self.landmarks(shape), *regions]
        hidden = self.hidden(torch.cat(parts, dim=1))
        with torch.autocast(hidden.device.type, enabled=False):
            values = self.output(hidden.float())
        logits, gaze = values.split([len(EXPRESSIONS), 4], dim=1)
        return ExpressionLogits(logits, gaze.unflatten(1, (2, 2)))

    def _patches(self, fine: Tensor, landmarks: Tensor) -> Tensor:
        """Sample (B, C, G, G) features around each region: (B, 3, C, 8, 8).

        The regions' sides are parallel to the crop's, so that rows and columns are sampled one after the other.
        """
        grid = int(fine.shape[-1])
        places = (self.centers @ landmarks)[:, :, None] + self.offsets  # (B, 3, 8, 2)
        cells = torch.arange(grid, dtype=places.dtype, device=places.device)
        hats = F.relu(1.0 - ((places * grid - 0.5)[..., None] - cells).abs()).to(fine.dtype)  # (B, 3, 8, 2, G)
        columns, rows = hats[:, :, :, 0], hats[:, :, :, 1]
        lines = rows[:, :, None] @ fine[:, None]  # (B, 3, C, 8, G)
        return lines @ columns[:, :, None].transpose(-1, -2)


def _region_encoder(fine: int) -> nn.Sequential:
    """Return the encoder of one region: (B, C, 8, 8) features to (B, 32, 1, 1)."""
    channels = _REGION_CHANNELS
    return nn.Sequential(
        conv_norm(fine, channels),
        depthwise_norm(channels, nn.ReLU),
        conv_norm(channels, _COARSE_CHANNELS, kernel=3, stride=2),
        conv_norm(_COARSE_CHANNELS, _REGION_VECTOR, kernel=CELLS // 2, stride=CELLS // 2),
    )


def _centers(scheme: LandmarkScheme) -> Tensor:
    """Return (3, N) weights of the landmarks in each region's center."""
    weights = torch.zeros(len(_REGIONS), scheme.count)
    for row, (group, _, _) in zip(weights, _REGIONS, strict=True):
        if group not in scheme.groups:
            raise ValueError(
                f"scheme {scheme.name} has no group {group!r}, which expressions are read around; "
                "train them with wflw98 or another scheme that names eyes and mouth"
            )
        indices = list(scheme.groups[group])
        row[indices] = 1.0 / len(indices)
    return weights


def _offsets() -> Tensor:
    """Return (3, 8, 2) x and y of each region's columns and rows against its center, crop sides."""
    steps = (torch.arange(CELLS) + 0.5) / CELLS - 0.5
    return torch.stack([torch.stack([steps * side, steps * side + below], dim=1) for _, side, below in _REGIONS])
