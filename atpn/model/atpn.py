"""ATPN: landmarks, head pose and tracking confidence from one crop (thesis, chapter 3)."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from atpn.model.backbone import Backbone, Features
from atpn.model.branches import PoseBranch, TrackingBranch, VectorPose
from atpn.model.config import ATPNConfig
from atpn.model.expression_branch import ExpressionBranch, ExpressionOutput, FaceReading
from atpn.model.heatmap import landmark_heatmap
from atpn.model.landmark_branch import VECTOR, FaceEmbedding, LandmarkBranch
from atpn.model.layers import resample_grids
from atpn.model.network import Network
from atpn.model.point_head import PromptHead, TemplateHead
from atpn.model.scheme_conversion import SchemeConversion

IMAGE_MEAN = (127.5, 127.5, 127.5)
IMAGE_STD = (64.0, 64.0, 64.0)
"""RGB, in 8-bit steps: the middle of the range and about the spread of photographs."""


class ATPNOutput(NamedTuple):
    """Results for a batch of crops."""

    landmarks: Tensor
    """(B, N, 2) x then y in [0, 1] of the crop; crop pixel = value * crop size - 0.5."""
    uncertainty: Tensor
    """(B, N) standard deviation of each landmark along an axis, same unit; zeros without an uncertainty head."""
    pose: Tensor
    """(B, 3) pitch, yaw, roll in radians, in the crop's frame."""
    confidence: Tensor
    """(B,) probability that the crop holds a face."""


class ATPN(Network):
    """The whole network. Stages train its parts one after another through the sub-steps; `forward` is inference."""

    PARTS = ("backbone", "landmark_branch", "tracking_branch", "pose_branch")
    config: ATPNConfig
    image_mean: Tensor
    image_std: Tensor

    def __init__(self, config: ATPNConfig, mean_shape: Tensor) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("image_mean", torch.tensor(IMAGE_MEAN)[:, None, None])
        self.register_buffer("image_std", torch.tensor(IMAGE_STD)[:, None, None])
        self.backbone = Backbone(config)
        self.landmark_branch = LandmarkBranch(config, mean_shape)
        self.tracking_branch = TrackingBranch(config)
        vector = config.channels(VECTOR)
        self.pose_branch = VectorPose(config, vector) if config.pose_from_vector else PoseBranch(config)
        self.point_head: TemplateHead | PromptHead | None = None
        if config.template_points:
            self.point_head = TemplateHead(vector, torch.zeros(config.template_points, 2))
        elif config.prompt_rank:
            self.point_head = PromptHead(vector, config.prompt_rank)
        self.expression_branch: ExpressionBranch | None = None
        if config.expressions:
            self.expression_branch = ExpressionBranch(config, mean_shape)
        optional = {"point_head": self.point_head, "expression_branch": self.expression_branch}
        self.PARTS = (*ATPN.PARTS, *(name for name, part in optional.items() if part is not None))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ATPN:
        """See `Network.from_config`; the mean shape is all zeros until weights are loaded."""
        options = ATPNConfig.from_stored(config)
        return cls(options, torch.zeros(options.landmark_count, 2))

    @property
    def stored_config(self) -> dict[str, Any]:
        """See `Network.stored_config`."""
        return {**vars(self.config), "scheme": self.config.scheme.reference}

    @property
    def mean_shape(self) -> Tensor:
        """(N, 2) mean shape in [0, 1] of the crop."""
        return self.landmark_branch.mean_shape

    def features(self, image: Tensor) -> Features:
        """Return the features of three levels of (B, 3, S, S) RGB images, 0 to 255."""
        return self.backbone(self._normalized(image))

    def embed(self, image: Tensor) -> FaceEmbedding:
        """Return what landmarks are predicted from, of (B, 3, S, S) RGB images, 0 to 255."""
        return self.landmark_branch.embed(self.features(image))

    def face_embedding(self, image: Tensor) -> Tensor:
        """Return the (B, 512) vectors that first estimates and point heads read, of (B, 3, S, S) RGB, 0 to 255."""
        return self.embed(image).vector

    def branch_input(self, image: Tensor, features: Features, landmarks: Tensor) -> Tensor:
        """Return the input of the tracking and pose branches, of (B, 3, S, S) RGB images, 0 to 255.

        Low features, multiplied by the landmarks' heatmap (equation 3.2) if the config says so; without a shared
        backbone, the normalized image.
        """
        if not self.config.shared_backbone:
            return self._normalized(image)
        if not self.config.heatmap_attention:
            return features.low
        return features.low * landmark_heatmap(landmarks, self.config.low_grid)

    def forward(self, image: Tensor) -> ATPNOutput:
        """Return all results for (B, 3, S, S) RGB images, 0 to 255."""
        features = self.features(image)
        embedding = self.landmark_branch.embed(features)
        landmarks, log_sigma = self.landmark_branch.read(embedding)
        shared = self.branch_input(image, features, landmarks)
        uncertainty = log_sigma.exp() if self.config.uncertainty else torch.zeros_like(log_sigma)
        confidence = torch.softmax(self.tracking_branch(shared), dim=1)[:, 1]
        return ATPNOutput(landmarks, uncertainty, self.pose(shared, embedding.vector, landmarks), confidence)

    def pose(self, shared: Tensor, vector: Tensor, landmarks: Tensor) -> Tensor:
        """Return (B, 3) angles from what the config's pose branch reads.

        `shared` is `branch_input`, `vector` (B, 512) the face's; landmarks are (B, N, 2).
        """
        if isinstance(self.pose_branch, VectorPose):
            return self.pose_branch(vector, landmarks)
        return self.pose_branch(shared)

    def expressions(self, image: Tensor) -> ExpressionOutput:
        """Return expressions and gaze for (B, 3, S, S) RGB images, 0 to 255.

        ValueError if the network has no expression branch.
        """
        if self.expression_branch is None:
            raise ValueError("this network has no expression branch; train one with `python -m atpn train expressions`")
        return self.expression_branch(self.read_face(image))

    def read_face(self, image: Tensor) -> FaceReading:
        """Return what expressions are read from, of (B, 3, S, S) RGB images, 0 to 255."""
        normalized = self._normalized(image)
        features = self.backbone(normalized)
        embedding = self.landmark_branch.embed(features)
        landmarks, _ = self.landmark_branch.read(embedding)
        pose = self.pose(self.branch_input(image, features, landmarks), embedding.vector, landmarks)
        return FaceReading(normalized, embedding.fine, embedding.vector, landmarks, pose)

    def _normalized(self, image: Tensor) -> Tensor:
        size = self.config.input_size
        if image.shape[1:] != (3, size, size):
            raise ValueError(f"this network takes (B, 3, {size}, {size}) images, got {tuple(image.shape)}")
        return (image - self.image_mean) / self.image_std

    def with_head(self, head: TemplateHead | PromptHead | None) -> ATPN:
        """Return a copy with a head for a template's points or for query points; None removes it."""
        points = head.count if isinstance(head, TemplateHead) else 0
        rank = head.rank if isinstance(head, PromptHead) else 0
        other = self.with_config(template_points=points, prompt_rank=rank)
        if head is not None:
            other.point_head.load_state_dict(head.state_dict())
        return other

    def with_config(self, **fields: Any) -> ATPN:
        """Return a copy with changed config fields.

        Weights of the same name and shape are kept; all others are untrained.
        """
        other = ATPN(replace(self.config, **fields), self.mean_shape)
        fitting = other.state_dict()
        kept = {k: v for k, v in self.state_dict().items() if k in fitting and v.shape == fitting[k].shape}
        other.load_state_dict(kept, strict=False)
        return other.train(self.training)

    @torch.no_grad()
    def converted(self, conversion: SchemeConversion) -> ATPN:
        """Return a copy that predicts the landmarks of a conversion's scheme.

        A scheme that spans less of the face makes crops closer, so faces are larger than those that the convolutions
        were trained on. Heads for other outputs are dropped. ValueError for a network of heatmaps, which no linear map
        converts.
        """
        if self.config.heatmaps != "none":
            raise ValueError(f"a network of heatmaps stays with its scheme, {self.config.scheme.name}; train a new one")

        def combined(rows: Tensor, weights: Tensor) -> Tensor:  # of (N * D, ...), N landmarks
            return (weights @ rows.reshape(weights.shape[1], -1)).reshape(-1, *rows.shape[1:])

        plain = {"ambiguity": False, "conventions": 0, "template_points": 0, "prompt_rank": 0, "expressions": ()}
        other = ATPN(replace(self.config, scheme=conversion.target, **plain), conversion.mean_shape)
        state = {key: value for key, value in self.state_dict().items() if key != "landmark_branch.mean_shape"}
        state = {key: value for key, value in state.items() if key in other.state_dict()}
        weights = {
            "residual.weight": conversion.places,
            "residual.bias": conversion.places,
            "refinement.displacement": conversion.refinement,
            "refinement.bias": conversion.refinement,
            "log_sigma.weight": conversion.log_sigma,
            "log_sigma.bias": conversion.log_sigma,
            "refinement.log_sigma": conversion.log_sigma,
        }
        for name, table in weights.items():
            if (key := f"landmark_branch.{name}") in state:
                state[key] = combined(state[key], table)
        state["landmark_branch.residual.bias"] += conversion.offset.flatten()
        if self.config.uncertainty:
            state["landmark_branch.log_sigma.bias"] += conversion.log_sigma_offset
        if self.config.pose_from_vector:
            state |= self._converted_pose(conversion)
        other.load_state_dict(state, strict=False)
        return other.train(self.training)

    def _converted_pose(self, conversion: SchemeConversion) -> dict[str, Tensor]:
        """Let the pose read what the new landmarks tell of the old ones; what they leave open is the mean face's."""
        layer, count = self.pose_branch.hidden[0], self.config.landmark_count
        vector, landmarks = layer.weight.split([layer.in_features - 2 * count, 2 * count], dim=1)
        landmarks, back = landmarks.unflatten(1, (count, 2)), torch.linalg.pinv(conversion.places)  # (H, N, 2), (N, M)
        mean = VectorPose.shape(self.mean_shape)
        mean = mean - back @ VectorPose.shape(conversion.mean_shape + conversion.offset)
        return {
            "pose_branch.hidden.0.weight": torch.cat([vector, (landmarks.mT @ back).mT.flatten(1)], dim=1),
            "pose_branch.hidden.0.bias": layer.bias + (landmarks * mean).sum((1, 2)),
        }

    def resized(self, size: int) -> ATPN:
        """Return a copy for another input size.

        Convolutions are kept; the global depthwise kernels are resampled to the new grid.
        """
        other = copy.deepcopy(self)
        other.config = replace(self.config, input_size=size)
        resample_grids(other, self.config.input_size, size)
        return other
