"""The expression branch: ARKit's coefficients and both eyes' gaze from features that landmarks are predicted from.

It reads the face's vector, the landmarks, the pose, and the features around both eyes and the mouth. Where an iris lies
and how lips are rolled is lost in one vector of a whole face.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atpn.model.backbone import LOW, STEM
from atpn.model.config import ATPNConfig
from atpn.model.landmark_branch import VECTOR
from atpn.model.layers import HardSwish, conv_norm, depthwise_norm
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.landmarks import LandmarkScheme

CELLS, EYE_CELLS = 8, 14
"""Sides of a region's grid of fine features, and of an eye's grid of finest ones."""
_REGIONS: tuple[tuple[str, float, float], ...] = (
    ("left_eye", 0.26, -0.04),
    ("right_eye", 0.26, -0.04),
    ("mouth", 0.40, 0.0),
)
"""Landmark group (the image's sides) whose mean is a region's center; the region's side and how far its center lies
below that mean, crop sides. Of a mean face an eye is 0.10 wide with a brow 0.09 above it; the mouth is 0.21 wide."""
_EYES = 2
"""The first regions are the eyes."""
_EYE_WIDTH, _EYE_HEIGHT = 0.18, 0.12
"""Extent of the finest features around an eye, crop sides."""
_REGION_CHANNELS, _COARSE_CHANNELS, _REGION_VECTOR = 32, 24, 32
_EYE_CHANNELS, _EYE_VECTOR = 16, 24
_VECTOR, _LANDMARKS, _HIDDEN = 32, 48, 96


class FaceReading(NamedTuple):
    """What the frozen network knows of a face; the branch's input."""

    finest: Tensor
    """(B, 16, 56, 56), see `backbone.Features`."""
    fine: Tensor
    """(B, 64, 28, 28), see `FaceEmbedding`."""
    vector: Tensor
    """(B, 512) of the whole face."""
    landmarks: Tensor
    """(B, N, 2) in [0, 1] of the crop."""
    pose: Tensor
    """(B, 3) pitch, yaw, roll in radians, in the crop's frame."""


class Patches(NamedTuple):
    """Features around a face's parts."""

    regions: Tensor
    """(B, 3, C, 8, 8) fine features around the eye at the image's left, that at its right, and the mouth."""
    eyes: Tensor
    """(B, 2, C, 14, 14) finest features around both eyes."""


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
    """See the module's docstring. It trains after the pose branch, whose angles the gaze starts from."""

    mean_shape: Tensor
    centers: Tensor
    region_offsets: Tensor
    eye_offsets: Tensor
    given: Tensor

    def __init__(self, config: ATPNConfig, mean_shape: Tensor) -> None:
        """Take the network's (N, 2) mean shape. ValueError for a scheme without eyes or mouth."""
        super().__init__()
        fine, vector = 2 * config.channels(LOW), config.channels(VECTOR)
        self.regions = nn.ModuleList(_region_encoder(fine) for _ in _REGIONS)
        self.eyes = nn.ModuleList(_eye_encoder(config.channels(STEM)) for _ in range(_EYES))
        self.vector = nn.Sequential(nn.Linear(vector, _VECTOR), HardSwish())
        self.landmarks = nn.Sequential(nn.Linear(2 * config.landmark_count, _LANDMARKS), HardSwish())
        hidden = _VECTOR + _LANDMARKS + _REGION_VECTOR * len(_REGIONS) + _EYE_VECTOR * _EYES + 3
        self.hidden = nn.Sequential(nn.Linear(hidden, _HIDDEN), HardSwish())
        self.output = nn.Linear(_HIDDEN, len(EXPRESSIONS) + 4)
        self.register_buffer("mean_shape", mean_shape.detach().clone().float())
        self.register_buffer("centers", _centers(config.scheme), persistent=False)
        regions = [_offsets(CELLS, side, side, below) for _, side, below in _REGIONS]
        self.register_buffer("region_offsets", torch.stack(regions), persistent=False)
        self.register_buffer("eye_offsets", _offsets(EYE_CELLS, _EYE_WIDTH, _EYE_HEIGHT), persistent=False)
        given = torch.tensor([float(name in config.expressions) for name in EXPRESSIONS])
        self.register_buffer("given", given, persistent=False)

    def forward(self, face: FaceReading) -> ExpressionOutput:
        """Map what the network knows of a face to coefficients and gaze."""
        logits, gaze = self.read(face)
        return ExpressionOutput(logits.sigmoid() * self.given, gaze)

    def read(self, face: FaceReading) -> ExpressionLogits:
        """Run `forward` up to the coefficients' logits."""
        return self.read_patches(face, self.patches(face))

    def patches(self, face: FaceReading) -> Patches:
        """Sample the features around eyes and mouth."""
        centers = (self.centers @ face.landmarks)[:, :, None]
        regions = sample_grids(face.fine, centers + self.region_offsets)
        return Patches(regions, sample_grids(face.finest, centers[:, :_EYES] + self.eye_offsets))

    def read_patches(self, face: FaceReading, patches: Patches) -> ExpressionLogits:
        """Run `read` from the sampled features on."""
        shape = (face.landmarks - self.mean_shape).flatten(1) * 10.0  # about 1 for a face that moves
        parts = [self.vector(face.vector), self.landmarks(shape), face.pose]
        parts += [encode(patches.regions[:, i]) for i, encode in enumerate(self.regions)]
        parts += [encode(patches.eyes[:, i]) for i, encode in enumerate(self.eyes)]
        hidden = self.hidden(torch.cat(parts, dim=1))
        with torch.autocast(hidden.device.type, enabled=False):
            values = self.output(hidden.float())
        logits, turn = values.split([len(EXPRESSIONS), 2 * _EYES], dim=1)
        ahead = face.pose[:, None, [1, 0]]  # yaw and pitch of eyes that look straight ahead
        return ExpressionLogits(logits, ahead + turn.unflatten(1, (_EYES, 2)))


def sample_grids(features: Tensor, places: Tensor) -> Tensor:
    """Sample (B, C, G, G) features at K upright grids of S x S points: (B, K, C, S, S).

    Rows and columns are sampled one after the other, bilinearly; beyond the outermost cells' centers samples fade to
    zero. `places` is (B, K, S, 2): x of the columns and y of the rows in [0, 1] of the map.
    """
    cells = torch.arange(int(features.shape[-1]), dtype=places.dtype, device=places.device)
    hats = F.relu(1.0 - ((places * len(cells) - 0.5)[..., None] - cells).abs()).to(features.dtype)  # (B, K, S, 2, G)
    columns, rows = hats[:, :, :, 0], hats[:, :, :, 1]
    return (rows[:, :, None] @ features[:, None]) @ columns[:, :, None].transpose(-1, -2)


def _region_encoder(fine: int) -> nn.Sequential:
    """Return the encoder of one region: (B, C, 8, 8) features to (B, 32)."""
    channels = _REGION_CHANNELS
    return nn.Sequential(
        conv_norm(fine, channels),
        depthwise_norm(channels, nn.ReLU),
        conv_norm(channels, _COARSE_CHANNELS, kernel=3, stride=2),
        *_read_out(_COARSE_CHANNELS * (CELLS // 2) ** 2, _REGION_VECTOR),
    )


def _eye_encoder(finest: int) -> nn.Sequential:
    """Return the encoder of one eye: (B, C, 14, 14) features to (B, 24)."""
    return nn.Sequential(
        conv_norm(finest, _EYE_CHANNELS, kernel=3, stride=2),
        conv_norm(_EYE_CHANNELS, _EYE_VECTOR, kernel=3, stride=2),
        *_read_out(_EYE_VECTOR * ((EYE_CELLS + 3) // 4) ** 2, _EYE_VECTOR),
    )


def _read_out(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """Return layers that map all cells of a grid to a vector.

    As a convolution of the grid's size it would be wrong in bfloat16: on channels-last features PyTorch 2.13 computes
    4 x 4 cells in steps of 4 with relative errors above 1.
    """
    return nn.Flatten(), nn.Linear(inputs, outputs), HardSwish()


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


def _offsets(cells: int, width: float, height: float, below: float = 0.0) -> Tensor:
    """Return (cells, 2) x and y of a grid's columns and rows against its landmarks' mean, crop sides."""
    steps = (torch.arange(cells) + 0.5) / cells - 0.5
    return torch.stack([steps * width, steps * height + below], dim=1)
