"""The networks as files hold them: from a uint8 channels-last image to named outputs."""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import Tensor, nn

from atpn.model import ATPN, Network, landmark_heatmap
from atpn.model.detector import FaceDetector
from atpn.model.expression_branch import FaceReading
from atpn.model.point_head import PromptHead, TemplateHead
from export.formats.decompose import decompose_hard_swish, fold_constants, use_channels_last


def wrap(
    model: Network,
    outputs: Collection[str],
    *,
    planar: bool = False,
    channels_last: bool = False,
    without_hard_swish: bool = False,
) -> nn.Module:
    """Return the module to convert; the network itself stays as it is.

    Args:
        model: A landmark network or a detector.
        outputs: Names of the outputs of the file's spec.
        planar: Take the image as float (B, 3, S, S) from 0 to 255, as CoreML gives it.
        channels_last: Compute channels last where a layer has the choice.
        without_hard_swish: Write hard swish as simpler operators, which have int8 kernels.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    if isinstance(model, FaceDetector):
        return ExportDetector(model, planar)
    assert isinstance(model, ATPN)
    fold_constants(model)
    if channels_last:
        use_channels_last(model)
    if without_hard_swish:
        decompose_hard_swish(model)
    return ExportModel(model, outputs, planar)


class ExportModel(nn.Module):
    """An ATPN with its input and output conventions inside.

    Its submodules' names become tensor names of the converted file, by which `quantize.FLOAT_SCOPES` chooses the layers
    that stay float.
    """

    def __init__(self, model: ATPN, outputs: Collection[str], planar: bool) -> None:
        super().__init__()
        self.normalize = Normalize(model, planar)
        self.backbone = model.backbone
        self.landmark_branch = model.landmark_branch
        self.with_heads = "pose" in outputs
        if self.with_heads:
            self.heatmap = Heatmap(model.config.low_grid)
            self.tracking_branch = model.tracking_branch
            self.pose_branch = model.pose_branch
            self.pose_from_vector = model.config.pose_from_vector
        self.decode = Decode(with_uncertainty=model.config.uncertainty)
        self.points = None if model.point_head is None else Points(model.point_head)
        self.expression_branch = model.expression_branch if "expressions" in outputs else None
        self.eval()

    def forward(self, image: Tensor, plane: Tensor | None = None) -> tuple[Tensor, ...]:
        """Run the network.

        Args:
            image: (B, S, S, 3) uint8 RGB.
            plane: (1, M, 2) query points of a prompt head.

        Returns:
            Landmarks (B, N, 2) and uncertainty (B, N); with heads also pose (B, 3) and confidence (B, 1); with a point
            head also points (B, M, 2) and their uncertainty (B, M); with an expression branch also expressions (B, 52)
            and gaze (B, 2, 2).
        """
        normalized = self.normalize(image)
        features = self.backbone(normalized)
        embedding = self.landmark_branch.embed(features)
        landmarks, log_sigma = self.landmark_branch.read(embedding)
        points = () if self.points is None else self.points(embedding.vector, plane)
        if not self.with_heads:
            return landmarks, self.decode.uncertainty(log_sigma), *points
        weighted = features.low * self.heatmap(landmarks)
        uncertainty, confidence = self.decode(log_sigma, self.tracking_branch(weighted))
        pose = self.pose_branch(embedding.vector, landmarks) if self.pose_from_vector else self.pose_branch(weighted)
        results = (landmarks, uncertainty, pose, confidence, *points)
        if self.expression_branch is None:
            return results
        face = FaceReading(normalized, embedding.fine, embedding.vector, landmarks, pose)
        expressions, gaze = self.expression_branch(face)
        return *results, expressions, gaze


class ExportDetector(nn.Module):
    """A detector with its input and output conventions inside."""

    def __init__(self, model: FaceDetector, planar: bool) -> None:
        super().__init__()
        self.normalize = Normalize(model, planar)
        self.detector = model
        self.read = ReadCells(model)
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, S, S, 3) uint8 RGB to scores (B, G, G), ROIs (B, G, G, 3), and their roll (B, G, G, 2)."""
        scores, regions, turns = self.read(self.detector.features(self.normalize(image)))
        return scores, regions, turns


class ReadCells(nn.Module):
    """`FaceDetector.read` as a module, so that its operators have a name; logits become scores."""

    def __init__(self, detector: FaceDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, 16, G, G) to (B, G, G), (B, G, G, 3), and (B, G, G, 2)."""
        cells = self.detector.read(features)
        return torch.sigmoid(cells.logits), cells.regions, cells.turns


class Normalize(nn.Module):
    """Conversion from uint8 channels last to normalized float channels first.

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
        """Map (B, S, S, 3) uint8, or (B, 3, S, S) float when planar, to (B, 3, S, S) float32."""
        normalized = (image.float() - self.mean) * self.scale
        return normalized if self.planar else normalized.permute(0, 3, 1, 2)


class Heatmap(nn.Module):
    """`landmark_heatmap` as a module, so that its operators have a name."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, landmarks: Tensor) -> Tensor:
        """Map (B, N, 2) landmarks to (B, 1, grid, grid)."""
        return landmark_heatmap(landmarks, self.grid)


class Points(nn.Module):
    """A point head with standard deviations instead of their logarithms."""

    def __init__(self, head: TemplateHead | PromptHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, vector: Tensor, plane: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map (B, 512) vectors and a prompt head's (1, M, 2) plane to (B, M, 2) points and (B, M) deviations."""
        points, log_sigma = self.head(vector) if plane is None else self.head(vector, plane)
        return points, torch.exp(log_sigma)


class Decode(nn.Module):
    """Raw branch outputs to what the spec declares."""

    def __init__(self, with_uncertainty: bool) -> None:
        super().__init__()
        self.with_uncertainty = with_uncertainty

    def forward(self, log_sigma: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, N) log standard deviations and (B, 2) logits to (B, N) deviations and (B, 1) confidence."""
        return self.uncertainty(log_sigma), torch.softmax(logits, dim=1)[:, 1:]

    def uncertainty(self, log_sigma: Tensor) -> Tensor:
        """Map (B, N) log standard deviations to standard deviations."""
        return torch.exp(log_sigma) if self.with_uncertainty else torch.zeros_like(log_sigma)
