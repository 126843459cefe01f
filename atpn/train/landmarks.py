"""Stage 1: the backbone and the landmark branch learn landmarks and their uncertainty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from atpn.data.crops import mean_shape_of
from atpn.data.store import SampleStore
from atpn.model import ATPN, ATPNConfig
from atpn.train import metrics
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, FaceBatches, validation_batch
from atpn.train.inference import predict
from atpn.train.losses import gap_loss, range_loss, thesis_landmark_loss, uncertainty_loss, wing_loss


class LandmarkTask:
    """See `loop.StageTask`."""

    name = "landmarks"
    trained = ("backbone", "landmark_branch")

    mean_shape: np.ndarray
    """(N, 2) in crop coordinates: what crops are upright against; the network's own."""

    def __init__(self, store: SampleStore, recipe: Recipe, seed: int, validation: int = 400) -> None:
        self.store, self.recipe, self.seed = store, recipe, seed
        self.faces, self.held_out = store.split()
        self.held_out = self.held_out[:validation]
        self.backgrounds, _ = store.split_backgrounds()
        self._validation: Batch | None = None
        self._validation_size = 0

    def begin(self, model: ATPN) -> None:
        """Take this network's mean shape."""
        self.mean_shape = model.mean_shape.numpy()

    def batches(self, crop_size: int, first_step: int) -> FaceBatches:
        """Jittered, augmented face crops."""
        return FaceBatches(
            self.store, self.faces, self.backgrounds, self.mean_shape, self.recipe, crop_size, self.seed, first_step
        )

    def loss(self, model: ATPN, image: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Point loss, gap loss and the uncertainty's likelihood."""
        recipe, scheme = self.recipe, self.store.scheme
        with norm_outputs(model.backbone.mid, model.backbone.high, model.landmark_branch) as activations:
            landmarks, log_sigma = model.landmark_branch(model.features(image))
        # Losses in full precision: half a pixel is the step of bfloat16 here.
        landmarks, target = landmarks.float(), batch["landmarks"]
        if recipe.landmark_loss == "thesis":
            loss = thesis_landmark_loss(landmarks, target, scheme)
        else:
            loss = wing_loss(landmarks, target)
        parts = {"points": loss.detach()}
        if recipe.gap_weight:
            gaps = gap_loss(landmarks, target, scheme)
            parts["gaps"] = gaps.detach()
            loss = loss + recipe.gap_weight * gaps
        if recipe.uncertainty_weight and model.config.uncertainty:
            likelihood = uncertainty_loss(landmarks, log_sigma.float(), target)
            parts["uncertainty"] = likelihood.detach()
            loss = loss + recipe.uncertainty_weight * likelihood
        if recipe.range_weight:
            excess = range_loss(activations)
            parts["range"] = excess.detach()
            loss = loss + recipe.range_weight * excess
        return loss, parts

    def validate(self, model: ATPN) -> dict[str, float]:
        """NME on held-out renders over the rectangle's longer side and, up to 60° of yaw, the eye distance; gaps."""
        if len(self.held_out) == 0:
            return {}
        size = model.config.input_size
        if self._validation is None or self._validation_size != size:
            self._validation = validation_batch(self.store, self.held_out, self.mean_shape, size)
            self._validation_size = size
        return landmark_figures(model, self._validation, self.store)


@contextmanager
def norm_outputs(*modules: nn.Module) -> Iterator[list[Tensor]]:
    """What the batch norms inside these modules give while the context is open, in the order of their calls."""
    outputs: list[Tensor] = []
    norms = [m for module in modules for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(lambda _, __, output: outputs.append(output)) for norm in norms]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def landmark_figures(model: ATPN, batch: Batch, store: SampleStore) -> dict[str, float]:
    """The few figures worth watching during training."""
    scheme = store.scheme
    predicted, target = predict(model, batch["image"].numpy()).landmarks, batch["landmarks"].numpy()
    figures = {"nme_rectangle": float(metrics.point_errors(predicted, target, metrics.rectangle_size(target)).mean())}
    # Where pose is unknown the comparison is false and the face counts as frontal.
    frontal = ~(np.abs(batch["pose"].numpy()[:, 1]) > np.radians(60))
    if frontal.any():
        predicted, target = predicted[frontal], target[frontal]
        inter_ocular = scheme.inter_ocular(target)
        figures["nme"] = float(metrics.point_errors(predicted, target, inter_ocular).mean())
        for part in metrics.OPENINGS.get(scheme.name, {}):
            opened = [metrics.openings(points, scheme, part) / inter_ocular for points in (predicted, target)]
            figures |= {f"{part}_{key}": value for key, value in metrics.gap_agreement(*opened).items()}
    return figures


def new_model(store: SampleStore, faces: np.ndarray, width: float, input_size: int, seed: int) -> ATPN:
    """An untrained network around the training faces' mean shape."""
    mean_shape = torch.from_numpy(mean_shape_of(store.landmarks[faces[:4000]], store.scheme))
    torch.manual_seed(seed)
    return ATPN(ATPNConfig(scheme=store.scheme.name, width=width, input_size=input_size), mean_shape)
