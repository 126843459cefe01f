"""Stage 2: the tracking branch learns whether a crop holds a properly framed face; all else is frozen."""

from __future__ import annotations

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
from edge_runtime.landmarks import convert, scheme_by_name


class TrackingTask:
    """See `loop.StageTask`."""

    name = "tracking"
    trained = ("tracking_branch",)

    mean_shape: np.ndarray
    """(N, 2) in crop coordinates: what crops are upright against; the network's own, in the data's scheme."""

    def __init__(self, store: SampleStore, recipe: Recipe, seed: int, validation: int = 400) -> None:
        self.store, self.recipe, self.seed = store, recipe, seed
        if len(store.faces) + len(store.boxed) == 0:
            raise ValueError("the training set holds neither faces with landmarks nor faces with boxes to track")
        self.faces, self.held_out = (
            np.concatenate(rows) for rows in zip(store.split(), store.split(store.boxed), strict=True)
        )
        # Each held-out face brings its negatives along.
        self.held_out = self.held_out[: max(1, validation // 4)]
        self.backgrounds, self.held_out_backgrounds = store.split(store.backgrounds)

    def begin(self, model: ATPN) -> None:
        """Take this network's mean shape."""
        self.mean_shape = mean_shape_for(model, self.store) if len(self.store.faces) else model.mean_shape.cpu().numpy()

    def batches(self, crop_size: int, first_step: int) -> TrackingBatches:
        """Faces, each with its negatives."""
        return TrackingBatches(
            self.store, self.faces, self.backgrounds, self.mean_shape, self.recipe, crop_size, self.seed, first_step
        )

    def loss(self, model: ATPN, image: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy."""
        logits = model.tracking_branch(frozen_input(model, image)).float()
        return tracking_loss(logits, batch["is_face"], self.recipe.balance_classes), {}

    def validate(self, model: ATPN) -> dict[str, float]:
        """Average precision and both error rates at the tracking threshold, on held-out faces and backgrounds."""
        if len(self.held_out) == 0:
            return {}
        size = model.config.input_size
        images, is_face = tracking_crops(self.store, self.held_out, self.held_out_backgrounds, self.mean_shape, size)
        return tracking_metrics(predict(model, images).confidence, is_face)


def mean_shape_for(model: ATPN, store: SampleStore) -> np.ndarray:
    """(N, 2) the network's mean shape as landmarks of the store's scheme; ValueError when these do not come of it."""
    return convert(model.mean_shape.cpu().numpy(), scheme_by_name(model.config.scheme), store.scheme)


@torch.no_grad()
def frozen_input(model: ATPN, image: Tensor) -> Tensor:
    """The heatmap-weighted low features of a batch, from the frozen parts only."""
    features = model.features(image)
    landmarks, _ = model.landmark_branch(features)
    return model.weighted_low(features, landmarks)
