"""The networks as files carry them: a uint8 channels-last picture in, named results out."""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import Tensor, nn

from atpn.model import ATPN, Network, landmark_heatmap
from atpn.model.blocks import InvertedResidual
from atpn.model.detector import FaceDetector
from atpn.model.layers import CoordConv, HardSwish, spell_out
from atpn.model.point_head import PromptHead, TemplateHead


def wrap(
    model: Network, outputs: Collection[str], spelled_out: tuple[type[nn.Module], ...] = (), planar: bool = False
) -> nn.Module:
    """The module to convert for these outputs of a spec; see `ExportModel` and `ExportDetector`."""
    if isinstance(model, FaceDetector):
        return ExportDetector(model, planar)
    assert isinstance(model, ATPN)
    return ExportModel(model, "pose" in outputs, spelled_out, planar)


class ExportModel(nn.Module):
    """An ATPN with its input and output conventions inside, constants folded; a copy, the original stays as it was.

    Its submodules' names end up in the converted file's tensor names: quantisation tells by them what to leave in
    float (see `FLOAT_SCOPES` in `export.quantise`).
    """

    def __init__(
        self,
        model: ATPN,
        with_heads: bool = True,
        spelled_out: tuple[type[nn.Module], ...] = (),
        planar: bool = False,
    ) -> None:
        """`with_heads`: pose and confidence besides landmarks and uncertainty. `spelled_out`: kinds of layers that are
        written in simpler operators. `planar`: the image comes as float (B, 3, S, S) from 0 to 255, as CoreML hands
        over pictures.
        """
        super().__init__()
        model = copy.deepcopy(model).eval().requires_grad_(False)
        for module in model.modules():
            if isinstance(module, CoordConv):
                module.fold_coordinates()
            if isinstance(module, InvertedResidual) and HardSwish in spelled_out:
                module.fold_sixths()
        model.landmark_branch.fold_upsampling()
        spell_out(model, spelled_out)
        self.normalise = Normalise(model, planar)
        self.backbone = model.backbone
        self.landmark_branch = model.landmark_branch
        self.with_heads = with_heads
        if with_heads:
            self.heatmap = Heatmap(model.config.low_grid)
            self.tracking_branch = model.tracking_branch
            self.pose_branch = model.pose_branch
        self.decode = Decode(with_uncertainty=model.config.uncertainty)
        self.points = None if model.point_head is None else Points(model.point_head)
        self.eval()

    def forward(self, image: Tensor, plane: Tensor | None = None) -> tuple[Tensor, ...]:
        """(B, S, S, 3) uint8 RGB to landmarks (B, N, 2), uncertainty (B, N) and with the heads pose (B, 3) and
        confidence (B, 1); with a point head the points (B, M, 2) and their uncertainty (B, M), too.

        `plane` is a prompt head's (1, M, 2).
        """
        features = self.backbone(self.normalise(image))
        embedding = self.landmark_branch.embed(features)
        landmarks, log_sigma = self.landmark_branch.read(embedding)
        points = () if self.points is None else self.points(embedding.vector, plane)
        if not self.with_heads:
            return landmarks, self.decode.uncertainty(log_sigma), *points
        weighted = features.low * self.heatmap(landmarks)
        uncertainty, confidence = self.decode(log_sigma, self.tracking_branch(weighted))
        return landmarks, uncertainty, self.pose_branch(weighted), confidence, *points


class ExportDetector(nn.Module):
    """A detector with its input and output conventions inside; a copy, the original stays as it was."""

    def __init__(self, model: FaceDetector, planar: bool = False) -> None:
        """`planar` as in `ExportModel`."""
        super().__init__()
        model = copy.deepcopy(model).eval().requires_grad_(False)
        self.normalise = Normalise(model, planar)
        self.detector = model
        self.read = ReadCells(model)
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, S, 3) uint8 RGB to scores (B, G, G) and regions (B, G, G, 3)."""
        scores, regions = self.read(self.detector.features(self.normalise(image)))
        return scores, regions


class ReadCells(nn.Module):
    """`FaceDetector.read` as a module, so that its operators carry a name; logits become scores."""

    def __init__(self, detector: FaceDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 16, G, G) to (B, G, G) and (B, G, G, 3)."""
        found = self.detector.read(features)
        return torch.sigmoid(found.logits), found.regions


class Normalise(nn.Module):
    """uint8 channels last to normalised float channels first.

    The arithmetic comes before the change of layout: the converter then cancels that change against its own.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, model: ATPN | FaceDetector, planar: bool) -> None:
        super().__init__()
        self.planar = planar
        shape = (3, 1, 1) if planar else (3,)
        self.register_buffer("mean", model.image_mean.reshape(shape).clone())
        self.register_buffer("scale", 1.0 / model.image_std.reshape(shape))

    def forward(self, image: Tensor) -> Tensor:
        """(B, S, S, 3) uint8, or (B, 3, S, S) float when planar, to (B, 3, S, S) float32."""
        normal = (image.float() - self.mean) * self.scale
        return normal if self.planar else normal.permute(0, 3, 1, 2)


class Heatmap(nn.Module):
    """`landmark_heatmap` as a module, so that its operators carry a name."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, landmarks: Tensor) -> Tensor:
        """(B, N, 2) to (B, 1, grid, grid)."""
        return landmark_heatmap(landmarks, self.grid)


class Points(nn.Module):
    """A point head with standard deviations instead of their logarithms."""

    def __init__(self, head: TemplateHead | PromptHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, vector: Tensor, plane: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, 512) vectors and a prompt head's (1, M, 2) plane to (B, M, 2) points and (B, M) deviations."""
        points, log_sigma = self.head(vector) if plane is None else self.head(vector, plane)
        return points, torch.exp(log_sigma)


class Decode(nn.Module):
    """Raw branch outputs to what the files promise."""

    def __init__(self, with_uncertainty: bool) -> None:
        super().__init__()
        self.with_uncertainty = with_uncertainty

    def forward(self, log_sigma: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N) log standard deviations and (B, 2) logits to (B, N) standard deviations and (B, 1) confidence."""
        return self.uncertainty(log_sigma), torch.softmax(logits, dim=1)[:, 1:]

    def uncertainty(self, log_sigma: Tensor) -> Tensor:
        """(B, N) log standard deviations to standard deviations."""
        return torch.exp(log_sigma) if self.with_uncertainty else torch.zeros_like(log_sigma)
