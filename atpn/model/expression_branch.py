"""The expression branch: ARKit's coefficients and both eyes' gaze, from the image and the features of landmarks.

It reads the face's vector, the landmarks, the pose, the fine features around the mouth, and gray pixels around both
eyes and the mouth: features that landmarks are predicted from tell little of irises, wrinkles, and lips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atpn.model.backbone import LOW
from atpn.model.config import ATPNConfig
from atpn.model.landmark_branch import VECTOR
from atpn.model.layers import HardSwish, conv_norm, depthwise_norm
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.landmarks import LandmarkScheme


class Grid(NamedTuple):
    """Points of an upright grid around a part of the face; lengths in crop sides."""

    columns: int
    rows: int
    width: float
    height: float
    below: float
    """How far its center lies below the mean of the part's landmarks."""

    def offsets(self) -> tuple[Tensor, Tensor]:
        """Return x of the columns and y of the rows against the landmarks' mean."""
        x = ((torch.arange(self.columns) + 0.5) / self.columns - 0.5) * self.width
        y = ((torch.arange(self.rows) + 0.5) / self.rows - 0.5) * self.height + self.below
        return x, y


# Of a mean face an eye is 0.10 wide with a brow 0.09 above it; the mouth is 0.21 wide. A pixel is 1/112.
EYE_GRID = Grid(28, 24, 28 / 112, 24 / 112, -2 / 112)
"""Every pixel, as around the mouth: an iris is 5 wide, and moves by half a pixel when the eye turns by 6 degrees."""
MOUTH_GRID = Grid(48, 32, 48 / 112, 32 / 112, 0.0)
FINE_GRID = Grid(10, 10, 0.40, 0.40, 0.0)
"""Fine features around the mouth."""
_GROUPS = ("left_eye", "right_eye", "mouth")
"""Landmark groups (the image's sides) around whose means is sampled."""
_EYES = 2
_PIXEL_CHANNELS = (16, 24, 24)
"""Channels of the convolutions over pixels, of a network of width 1."""
_EYE_VECTOR, _MOUTH_VECTOR = 32, 24
_FINE_CHANNELS, _COARSE_CHANNELS, _FINE_VECTOR = 32, 24, 32
_VECTOR, _LANDMARKS, _HIDDEN, _GAZE_HIDDEN = 32, 48, 96, 32


class FaceReading(NamedTuple):
    """What the frozen network knows of a face, and the image; the branch's input."""

    image: Tensor
    """(B, 3, S, S) the normalized crop."""
    fine: Tensor
    """(B, 64, S/4, S/4), see `FaceEmbedding`."""
    vector: Tensor
    """(B, 512) of the whole face."""
    landmarks: Tensor
    """(B, N, 2) in [0, 1] of the crop."""
    pose: Tensor
    """(B, 3) pitch, yaw, roll in radians, in the crop's frame."""


class Patches(NamedTuple):
    """Pixels and features around a face's parts."""

    eyes: Tensor
    """(B, 2, 24, 28) gray pixels around the eye at the image's left, and those around the other, mirrored."""
    mouth: Tensor
    """(B, 32, 48) gray pixels around the mouth."""
    fine: Tensor
    """(B, C, 10, 10) fine features around the mouth."""


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
    eye_columns: Tensor
    eye_rows: Tensor
    mouth_columns: Tensor
    mouth_rows: Tensor
    fine_columns: Tensor
    fine_rows: Tensor
    given: Tensor

    def __init__(self, config: ATPNConfig, mean_shape: Tensor) -> None:
        """Take the network's (N, 2) mean shape. ValueError for a scheme without eyes or mouth."""
        super().__init__()
        fine, vector = 2 * config.channels(LOW), config.channels(VECTOR)
        pixels = [config.channels(count) for count in _PIXEL_CHANNELS]
        self.eye = _pixel_encoder(EYE_GRID, pixels, (1, 2, 2), _EYE_VECTOR)
        self.mouth = _pixel_encoder(MOUTH_GRID, pixels, (2, 2, 2), _MOUTH_VECTOR)
        self.fine = _feature_encoder(fine)
        self.vector = nn.Sequential(nn.Linear(vector, _VECTOR), HardSwish())
        self.landmarks = nn.Sequential(nn.Linear(2 * config.landmark_count, _LANDMARKS), HardSwish())
        upper = 3 + _VECTOR + _LANDMARKS + _EYES * _EYE_VECTOR
        self.hidden = nn.Sequential(nn.Linear(upper + _MOUTH_VECTOR + _FINE_VECTOR, _HIDDEN), HardSwish())
        self.output = nn.Linear(_HIDDEN, len(EXPRESSIONS))
        self.gaze_hidden = nn.Sequential(nn.Linear(upper, _GAZE_HIDDEN), HardSwish())
        self.gaze = nn.Linear(_GAZE_HIDDEN, 2 * _EYES)
        self.register_buffer("mean_shape", mean_shape.detach().clone().float())
        self.register_buffer("centers", _centers(config.scheme), persistent=False)
        columns, rows = EYE_GRID.offsets()
        self._register_grid("eye", torch.stack([columns, -columns]), rows)  # one encoder reads both eyes
        self._register_grid("mouth", *MOUTH_GRID.offsets())
        self._register_grid("fine", *FINE_GRID.offsets())
        given = torch.tensor([float(name in config.expressions) for name in EXPRESSIONS])
        self.register_buffer("given", given, persistent=False)
        self.channels_last = False
        """How features are best stored: channels last in TFLite, first elsewhere."""

    def _register_grid(self, name: str, columns: Tensor, rows: Tensor) -> None:
        self.register_buffer(f"{name}_columns", columns, persistent=False)
        self.register_buffer(f"{name}_rows", rows, persistent=False)

    def forward(self, face: FaceReading) -> ExpressionOutput:
        """Map what the network knows of a face to coefficients and gaze."""
        logits, gaze = self.read(face)
        return ExpressionOutput(logits.sigmoid() * self.given, gaze)

    def read(self, face: FaceReading) -> ExpressionLogits:
        """Run `forward` up to the coefficients' logits."""
        return self.read_patches(face, self.patches(face))

    def _as_channel(self, pixels: Tensor) -> Tensor:
        """Map (B, H, W) to (B, 1, H, W)."""
        return pixels[..., None].permute(0, 3, 1, 2) if self.channels_last else pixels[:, None]

    def _gray(self, image: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, S, S); in TFLite, a mean over the innermost axis takes twice a convolution's time."""
        return F.conv2d(image, image.new_full((1, 3, 1, 1), 1 / 3))[:, 0] if self.channels_last else image.mean(1)

    def patches(self, face: FaceReading) -> Patches:
        """Sample pixels and features around eyes and mouth."""
        with torch.autocast(face.landmarks.device.type, enabled=False):
            centers = self.centers @ face.landmarks  # (B, 3, 2); bfloat16 steps would be a fifth of a pixel
        x, y = centers[:, :, :1], centers[:, :, 1:]
        gray = self._gray(face.image)
        eyes = sample_pixels(gray, x[:, :_EYES] + self.eye_columns, y[:, :_EYES] + self.eye_rows)
        x, y = x[:, _EYES:], y[:, _EYES:]
        mouth = sample_pixels(gray, x + self.mouth_columns, y + self.mouth_rows)
        x, y = x[:, 0] + self.fine_columns, y[:, 0] + self.fine_rows
        return Patches(eyes, mouth[:, 0], sample_features(face.fine, x, y, self.channels_last))

    def read_patches(self, face: FaceReading, patches: Patches) -> ExpressionLogits:
        """Run `read` from the sampled pixels and features on."""
        shape = (face.landmarks - self.mean_shape).flatten(1) * 10.0  # about 1 for a face that moves
        eyes = self.eye(self._as_channel(patches.eyes.flatten(0, 1))).unflatten(0, (-1, _EYES)).flatten(1)
        upper = torch.cat([face.pose, self.vector(face.vector), self.landmarks(shape), eyes], dim=1)
        whole = torch.cat([upper, self.mouth(self._as_channel(patches.mouth)), self.fine(patches.fine)], dim=1)
        hidden, gaze_hidden = self.hidden(whole), self.gaze_hidden(upper)
        with torch.autocast(hidden.device.type, enabled=False):
            logits, turn = self.output(hidden.float()), self.gaze(gaze_hidden.float())
        # Yaw and pitch of eyes that look straight ahead; an index would be a gather.
        ahead = torch.cat([face.pose[:, 1:2], face.pose[:, :1]], dim=1)[:, None]
        return ExpressionLogits(logits, ahead + turn.unflatten(1, (_EYES, 2)))


def sample_pixels(pixels: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Sample (B, G, G) pixels at K upright grids of H x W points: (B, K, H, W).

    Rows and columns are sampled one after the other, bilinearly; beyond the outermost cells' centers samples fade to
    zero. `columns` (B, K, W) are x, `rows` (B, K, H) are y, in [0, 1] of the map.
    """
    grid = int(pixels.shape[-1])
    return (_hats(rows, grid).to(pixels.dtype) @ pixels[:, None]) @ _columns(columns, grid).to(pixels.dtype)


def sample_features(features: Tensor, columns: Tensor, rows: Tensor, channels_last: bool = False) -> Tensor:
    """Sample (B, C, G, G) features at one upright grid of H x W points, as `sample_pixels` does: (B, C, H, W).

    `columns` are (B, W), `rows` (B, H). `channels_last` says how the features are best stored.
    """
    grid = int(features.shape[-1])
    down = _hats(rows, grid).to(features.dtype)
    if not channels_last:
        return (down[:, None] @ features) @ _columns(columns, grid).to(features.dtype)[:, None]
    lines = (down @ features.permute(0, 2, 3, 1).flatten(2)).unflatten(2, (grid, -1))  # (B, H, G, C)
    return (_hats(columns, grid).to(features.dtype)[:, None] @ lines).permute(0, 3, 1, 2)


def _hats(places: Tensor, grid: int) -> Tensor:
    """Weigh the cells along an axis for bilinear sampling at (…, n) places in [0, 1]: (…, n, grid)."""
    cells = torch.arange(grid, dtype=places.dtype, device=places.device)
    return F.relu(1.0 - ((places * grid - 0.5)[..., None] - cells).abs())


def _columns(places: Tensor, grid: int) -> Tensor:
    """Return `_hats` as (…, grid, n); a transposition would be one in files, too."""
    cells = torch.arange(grid, dtype=places.dtype, device=places.device)[:, None]
    return F.relu(1.0 - ((places * grid - 0.5)[..., None, :] - cells).abs())


class ReadOut(nn.Module):
    """Map all cells of (B, C, H, W) features to (B, outputs).

    As a convolution of the grid's size it would be wrong in bfloat16: on channels-last features PyTorch 2.13 computes
    4 x 4 cells in steps of 4 with relative errors above 1. `channels_last`: how the features are best stored.
    """

    def __init__(self, channels: int, rows: int, columns: int, outputs: int) -> None:
        super().__init__()
        self.shape = channels, rows, columns
        self.linear = nn.Linear(channels * rows * columns, outputs)
        self.channels_last = False

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if not self.channels_last:
            return self.linear(x.flatten(1))
        weight = self.linear.weight.unflatten(1, self.shape).permute(0, 2, 3, 1).flatten(1)
        return F.linear(x.permute(0, 2, 3, 1).flatten(1), weight, self.linear.bias)


def _pixel_encoder(grid: Grid, channels: Sequence[int], strides: Sequence[int], outputs: int) -> nn.Sequential:
    """Return the encoder of gray pixels: (B, 1, rows, columns) to (B, outputs)."""
    convolutions, inputs = [], 1
    for count, stride in zip(channels, strides, strict=True):
        convolutions.append(conv_norm(inputs, count, kernel=3, stride=stride))
        inputs = count
    reduction = math.prod(strides)
    return nn.Sequential(
        *convolutions, ReadOut(inputs, grid.rows // reduction, grid.columns // reduction, outputs), HardSwish()
    )


def _feature_encoder(fine: int) -> nn.Sequential:
    """Return the encoder of fine features: (B, C, 10, 10) to (B, 32)."""
    channels = _FINE_CHANNELS
    return nn.Sequential(
        conv_norm(fine, channels),
        depthwise_norm(channels, nn.ReLU),
        conv_norm(channels, _COARSE_CHANNELS, kernel=3, stride=2),
        ReadOut(_COARSE_CHANNELS, FINE_GRID.rows // 2, FINE_GRID.columns // 2, _FINE_VECTOR),
        HardSwish(),
    )


def _centers(scheme: LandmarkScheme) -> Tensor:
    """Return (3, N) weights of the landmarks in the mean of each group."""
    weights = torch.zeros(len(_GROUPS), scheme.count)
    for row, group in zip(weights, _GROUPS, strict=True):
        if group not in scheme.groups:
            raise ValueError(
                f"scheme {scheme.name} has no group {group!r}, which expressions are read around; "
                "train them with wflw98 or another scheme that names eyes and mouth"
            )
        indices = list(scheme.groups[group])
        row[indices] = 1.0 / len(indices)
    return weights
