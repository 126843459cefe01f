"""Stage 1: the backbone and the landmark branch learn landmarks and their uncertainty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from atpn.data.contours import neighbours, sliding
from atpn.data.crops import mean_shape_of
from atpn.data.label_noise import noisy_landmarks
from atpn.data.store import SampleStore
from atpn.model import ATPN, ATPNConfig
from atpn.train import metrics
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, FaceBatches, validation_batch
from atpn.train.inference import predict
from atpn.train.losses import gap_loss, percent_errors, range_loss, thesis_landmark_loss, uncertainty_loss, wing_loss
from atpn.train.semantic_alignment import search_landmarks
from atpn.train.shape_correction import corrected_labels
from atpn.train.star import ambiguity_loss, star_loss
from atpn.train.wing_losses import adaptive_wing, rectified_wing, soft_wing


class LandmarkTask:
    """See `loop.StageTask`."""

    name = "landmarks"
    trained = ("backbone", "landmark_branch")

    mean_shape: np.ndarray
    """(N, 2) in crop coordinates: what crops are upright against; the network's own."""
    average: ATPN
    """The averaged network, which the loop keeps here."""

    def __init__(
        self, store: SampleStore, recipe: Recipe, seed: int, validation: int = 400, faces: int | None = None
    ) -> None:
        """`faces`: how many to train on, at most; None: all that are not held out.

        ValueError when the recipe asks for what the store's scheme does not have."""
        self.store, self.recipe, self.seed = store, recipe, seed
        self.faces, self.held_out = store.split()
        self.faces, self.held_out = self.faces[:faces], self.held_out[:validation]
        self.backgrounds, _ = store.split_backgrounds()
        self.labels = training_labels(store, self.faces, recipe)
        if recipe.semantic_alignment or recipe.landmark_loss == "adaptive-wing":
            self.neighbours = tuple(map(torch.from_numpy, neighbours(store.scheme)))
            self.sliding = torch.from_numpy(sliding(store.scheme))
        self._validation: Batch | None = None
        self._validation_size = 0

    def begin(self, model: ATPN) -> None:
        """Take this network's mean shape."""
        self.mean_shape = model.mean_shape.numpy()

    def batches(self, crop_size: int, first_step: int) -> FaceBatches:
        """Jittered, augmented face crops."""
        batches = FaceBatches(
            self.store, self.faces, self.backgrounds, self.mean_shape, self.recipe, crop_size, self.seed, first_step
        )
        batches.labels = self.labels
        return batches

    def loss(self, model: ATPN, image: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Point loss, gap loss and the uncertainty's likelihood."""
        recipe, scheme = self.recipe, self.store.scheme
        with norm_outputs(model.backbone.mid, model.backbone.high, model.landmark_branch) as activations:
            vector = model.landmark_branch.vector(model.features(image))
            landmarks, log_sigma = model.landmark_branch.read(vector)
        # Losses in full precision: half a pixel is the step of bfloat16 here.
        landmarks, labelled = landmarks.float(), batch["landmarks"]
        target = self._searched(image, labelled) if recipe.semantic_alignment else labelled
        parts = {}
        if recipe.landmark_loss == "star":
            shape = model.landmark_branch.read_ambiguity(vector)
            loss = star_loss(landmarks, target, shape)
            parts["points"] = loss.detach()
            parts["ambiguity"] = ambiguity_loss(landmarks, labelled, log_sigma.float(), shape)
            loss = loss + parts["ambiguity"]
        else:
            loss = self._point_loss(landmarks, target)
            parts["points"] = loss.detach()
        if recipe.gap_weight:
            gaps = gap_loss(landmarks, target, scheme)
            parts["gaps"] = gaps.detach()
            loss = loss + recipe.gap_weight * gaps
        if recipe.uncertainty_weight and model.config.uncertainty:
            # Of the labels, also where others are searched: what is unsure about them is what the search goes by.
            likelihood = uncertainty_loss(landmarks, log_sigma.float(), labelled)
            parts["uncertainty"] = likelihood.detach()
            loss = loss + recipe.uncertainty_weight * likelihood
        if recipe.range_weight:
            excess = range_loss(activations)
            parts["range"] = excess.detach()
            loss = loss + recipe.range_weight * excess
        return loss, {key: value.detach() for key, value in parts.items()}

    def _point_loss(self, landmarks: Tensor, target: Tensor) -> Tensor:
        kind = self.recipe.landmark_loss
        if kind == "thesis":
            return thesis_landmark_loss(landmarks, target, self.store.scheme)
        if kind == "wing":
            return wing_loss(landmarks, target)
        errors = percent_errors(landmarks, target)
        if kind == "adaptive-wing":
            # Corners are certain; where along a curve a point lies is not.
            return adaptive_wing(errors, (~self.sliding).to(errors)[:, None]).mean()
        return (soft_wing(errors) if kind == "soft-wing" else rectified_wing(errors)).mean()

    @torch.no_grad()
    def _searched(self, image: Tensor, labelled: Tensor) -> Tensor:
        predicted, log_sigma = self.average.landmark_branch(self.average.features(image))
        before, after = (indices.to(image.device) for indices in self.neighbours)
        sigma = log_sigma.float().exp()
        return search_landmarks(labelled, predicted.float(), sigma, before, after, self.sliding.to(image.device))

    def validate(self, model: ATPN) -> dict[str, float]:
        """NME on held-out renders over the rectangle's longer side and, up to 60° of yaw, the eye distance; gaps."""
        if len(self.held_out) == 0:
            return {}
        size = model.config.input_size
        if self._validation is None or self._validation_size != size:
            self._validation = validation_batch(self.store, self.held_out, self.mean_shape, size)
            self._validation_size = size
        return landmark_figures(model, self._validation, self.store)


def training_labels(store: SampleStore, faces: np.ndarray, recipe: Recipe) -> np.ndarray | None:
    """(n, N, 2) landmarks to train these faces on, by the store's indices; None: the store's own."""
    if not recipe.label_noise.level and not recipe.shape_components:
        return None
    labels = store.landmarks.copy()
    if recipe.label_noise.level:
        for index in faces:
            labels[index] = noisy_landmarks(labels[index], store.scheme, store.keys[index], recipe.label_noise)
    if recipe.shape_components:
        labels[faces] = corrected_labels(labels[faces], store.scheme, recipe.shape_components)
    return labels


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


def with_heads_of(model: ATPN, recipe: Recipe) -> ATPN:
    """The network with what the recipe's landmark loss needs besides."""
    return model.with_ambiguity() if recipe.landmark_loss == "star" else model


def new_model(store: SampleStore, faces: np.ndarray, width: float, input_size: int, seed: int) -> ATPN:
    """An untrained network around the training faces' mean shape."""
    mean_shape = torch.from_numpy(mean_shape_of(store.landmarks[faces[:4000]], store.scheme))
    torch.manual_seed(seed)
    return ATPN(ATPNConfig(scheme=store.scheme.name, width=width, input_size=input_size), mean_shape)
