"""Stage 2: the tracking branch learns whether a crop frames a face; all other parts are frozen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from atpn.data.store import SampleStore
from atpn.evaluate.inference import predict
from atpn.evaluate.tracking import tracking_crops, tracking_metrics
from atpn.model import ATPN
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, TrackingBatches
from atpn.train.losses.tracking import tracking_loss
from edge_runtime.landmarks import convert

READABLE_ERROR = 0.09
"""Mean landmark error, in longer sides of the landmarks' rectangle, below which a displaced crop is a face: 0.15 of the
distance of a frontal face's eye corners. A tracker's next crop is then well placed."""
UNREADABLE_ERROR = 0.14
"""Error above which it is none: 0.25 of the eye distance. Crops between the two teach nothing."""


class TrackingTask:
    """See `loop.StageTask`."""

    name = "tracking"
    trained = ("tracking_branch",)

    mean_shape: np.ndarray
    """(N, 2) the network's, in crop coordinates and the data's scheme: defines upright crops."""

    def __init__(self, store: SampleStore, recipe: Recipe, seed: int, validation: int = 400) -> None:
        self.store, self.recipe, self.seed = store, recipe, seed
        if len(store.faces) + len(store.boxed) == 0:
            raise ValueError("the training set has neither faces with landmarks nor faces with boxes")
        self.faces, self.held_out = (
            np.concatenate(rows) for rows in zip(store.split(), store.split(store.boxed), strict=True)
        )
        # Each held-out face adds its negatives.
        self.held_out = self.held_out[: max(1, validation // 4)]
        self.backgrounds, self.held_out_backgrounds = store.split(store.backgrounds)

    def begin(self, model: ATPN) -> None:
        """Use this network's mean shape."""
        self.mean_shape = mean_shape_for(model, self.store) if len(self.store.faces) else model.mean_shape.cpu().numpy()

    def batches(self, crop_size: int, first_step: int) -> TrackingBatches:
        """Return faces, each with its negatives."""
        return TrackingBatches(
            self.store, self.faces, self.backgrounds, self.mean_shape, self.recipe, crop_size, self.seed, first_step
        )

    def loss(self, model: ATPN, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the cross-entropy. What the landmark branch reads in a displaced crop decides its class."""
        frozen = read_frozen(model, batch["image"])
        error = self._error(model, frozen.landmarks, batch["landmarks"])
        is_face = batch["is_face"] | (error < READABLE_ERROR)
        known = ~((error >= READABLE_ERROR) & (error <= UNREADABLE_ERROR))
        logits = model.tracking_branch(frozen.shared[known]).float()
        recipe = self.recipe
        return tracking_loss(logits, is_face[known], recipe.balance_classes, recipe.face_weight), {}

    def _error(self, model: ATPN, landmarks: Tensor, target: Tensor) -> Tensor:
        """Return the (B,) mean landmark errors over the longer side of the true rectangle; NaN where it is unknown."""
        if target.isnan().all():  # boxes alone, whose default scheme may be another one
            return target[:, 0, 0]
        own, scheme = model.config.scheme, self.store.scheme
        predicted = landmarks.float()
        if own != scheme:
            predicted = torch.from_numpy(convert(predicted.cpu().numpy(), own, scheme)).to(target.device)
        side = (target.amax(dim=1) - target.amin(dim=1)).amax(dim=1)
        return (predicted - target).norm(dim=-1).mean(dim=1) / side

    def validate(self, model: ATPN) -> dict[str, float]:
        """Compute average precision and both error rates at the tracking threshold, on held-out samples."""
        if len(self.held_out) == 0:
            return {}
        size = model.config.input_size
        images, is_face = tracking_crops(self.store, self.held_out, self.held_out_backgrounds, self.mean_shape, size)
        return tracking_metrics(predict(model, images).confidence, is_face)


def mean_shape_for(model: ATPN, store: SampleStore) -> np.ndarray:
    """Return the network's (N, 2) mean shape in the store's scheme; ValueError if it cannot be converted."""
    return convert(model.mean_shape.cpu().numpy(), model.config.scheme, store.scheme)


class FrozenReading(NamedTuple):
    """What the tracking and pose branches read, without gradients; see `ATPN.pose`."""

    shared: Tensor
    vector: Tensor
    landmarks: Tensor


@torch.no_grad()
def read_frozen(model: ATPN, image: Tensor) -> FrozenReading:
    """Compute the input of the tracking and pose branches for (B, 3, S, S) RGB images, 0 to 255."""
    features = model.features(image)
    embedding = model.landmark_branch.embed(features)
    landmarks, _ = model.landmark_branch.read(embedding)
    return FrozenReading(model.branch_input(image, features, landmarks), embedding.vector, landmarks)
