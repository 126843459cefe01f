"""Stage 1: the backbone and the landmark branch learn landmarks and their uncertainty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from atpn.data.contours import neighbors, sliding
from atpn.data.crops import compute_mean_shape
from atpn.data.label_noise import noisy_landmarks
from atpn.data.store import SampleStore
from atpn.evaluate import metrics
from atpn.evaluate.crops import LabeledCrops, validation_batch
from atpn.evaluate.inference import predict
from atpn.model import ATPN, ATPNConfig
from atpn.model.landmark_branch import FaceEmbedding
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, FaceBatches
from atpn.train.losses.activation import range_loss
from atpn.train.losses.landmark import gap_loss, percent_errors, thesis_landmark_loss, uncertainty_loss, wing_loss
from atpn.train.losses.semantic_alignment import search_landmarks
from atpn.train.losses.shape_correction import corrected_labels
from atpn.train.losses.star import ambiguity_loss, star_loss
from atpn.train.losses.wing_variants import adaptive_wing, rectified_wing, soft_wing
from atpn.train.mixing import Alignment, MixedBatches, OtherSet, shared_batch
from atpn.train.settling import UNSETTLED, Settling
from edge_runtime.landmarks import LandmarkScheme


class LandmarkTask:
    """See `loop.StageTask`."""

    name = "landmarks"
    trained: tuple[str, ...] = ("backbone", "landmark_branch")

    mean_shape: np.ndarray
    """(N, 2) in crop coordinates: what crops are upright against; the network's own."""
    average: ATPN
    """The averaged network, which the loop keeps here."""
    settling: Settling = UNSETTLED
    """When crops become milder; the loop keeps it here."""

    def __init__(
        self,
        store: SampleStore,
        recipe: Recipe,
        seed: int,
        validation: int = 400,
        faces: int | None = None,
        others: Sequence[OtherSet] = (),
    ) -> None:
        """`faces`: how many to train on, at most; None: all that are not held out. `others`: see `mixing`.

        ValueError when the recipe asks for what the store's scheme does not have, or for what one set alone allows."""
        self.store, self.recipe, self.seed, self.others = store, recipe, seed, tuple(others)
        if recipe.rest_backbone:
            self.trained = ("landmark_branch",)
        self.held_out = store.split()[1][:validation]
        self.faces = training_faces(store, recipe)[:faces]
        if others and not _one_face_at_a_time(recipe):
            raise ValueError(
                "STAR loss, adaptive wing, Semantic Alignment and shape correction look at one set's landmarks and do "
                "not go with several sets; give one --data, or leave them out"
            )
        self._shares = shared_batch(recipe.batch_size, [1.0, *(other.share for other in others)])
        self.labels = training_labels(store, self.faces, recipe)
        if recipe.semantic_alignment or recipe.landmark_loss == "adaptive-wing":
            self.neighbours = tuple(map(torch.from_numpy, neighbors(store.scheme)))
            self.sliding = torch.from_numpy(sliding(store.scheme))
        self._validation: LabeledCrops | None = None
        self._validation_size = 0

    def begin(self, model: ATPN) -> None:
        """Take this network's mean shape."""
        self.mean_shape = model.mean_shape.cpu().numpy()
        self.uncertain = model.config.uncertainty
        self.alignment = Alignment(self.store.scheme, [o.store.scheme for o in self.others], self.mean_shape)

    def batches(self, crop_size: int, first_step: int) -> FaceBatches | MixedBatches:
        """Jittered, augmented face crops."""
        stores = [self.store, *(other.store for other in self.others)]
        shapes = self.alignment.mean_shapes if self.others else [self.mean_shape]
        parts = []
        for k, (store, shape, count) in enumerate(zip(stores, shapes, self._shares, strict=True)):
            recipe = replace(self.recipe, batch_size=count)
            faces = training_faces(store, recipe) if k else self.faces
            backgrounds, _ = store.split(store.backgrounds)
            parts.append(FaceBatches(store, faces, backgrounds, shape, recipe, crop_size, self.seed + k, first_step))
            parts[-1].settling = self.settling
        parts[0].labels = self.labels
        return MixedBatches(parts, self.seed, first_step) if self.others else parts[0]

    def loss(self, model: ATPN, image: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Point loss, gap loss and the uncertainty's likelihood; of several sets, each in its own convention."""
        recipe = self.recipe
        with norm_outputs(model.backbone.mid, model.backbone.high, model.landmark_branch) as activations:
            embedding = self.embed(model, image)
            estimates = model.landmark_branch.estimates(embedding)
        target = self._searched(image, batch["landmarks"]) if recipe.semantic_alignment else None
        shape = model.landmark_branch.read_ambiguity(embedding.vector) if recipe.landmark_loss == "star" else None
        losses = []
        for landmarks, log_sigma in estimates:
            # In full precision: half a pixel is the step of bfloat16 here.
            loss, parts = self._estimate_loss(model, landmarks.float(), log_sigma.float(), batch, target, shape)
            losses.append(loss)
        # The log shows the last estimate's parts: that is what the network says.
        loss = torch.stack(losses).sum()
        if recipe.range_weight:
            excess = range_loss(activations)
            parts["range"] = excess.detach()
            loss = loss + recipe.range_weight * excess
        return loss, {key: value.detach() for key, value in parts.items()}

    def embed(self, model: ATPN, image: Tensor) -> FaceEmbedding:
        """What a model's landmarks are read from."""
        return model.embed(image)

    def _estimate_loss(
        self,
        model: ATPN,
        landmarks: Tensor,
        log_sigma: Tensor,
        batch: Batch,
        target: Tensor | None,
        shape: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if not self.others:
            return self._loss(landmarks, log_sigma, batch["landmarks"], self.store.scheme, target, shape)
        loss, parts = landmarks.new_zeros(()), {}
        for k, part in enumerate(self.alignment.parts(model, landmarks, log_sigma, batch)):
            own, named = self._loss(part.landmarks, part.log_sigma, part.target, part.scheme)
            loss = loss + part.share * own
            parts |= {f"{name}-{k}" if k else name: value for name, value in named.items()}
        return loss, parts

    def _loss(
        self,
        landmarks: Tensor,
        log_sigma: Tensor,
        labelled: Tensor,
        scheme: LandmarkScheme,
        target: Tensor | None = None,
        shape: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Of the landmarks against the labels, or a target found instead of them; `shape` is STAR's.

        Where a label is NaN, what the network says is taken as right: no gradient comes from there.
        """
        recipe, parts = self.recipe, {}
        known = ~labelled.isnan()
        labelled = torch.where(known, labelled, landmarks.detach())
        target = labelled if target is None else torch.where(known, target, landmarks.detach())
        log_sigma = torch.where(known.all(dim=-1), log_sigma, log_sigma.detach())
        if shape is not None:
            loss = star_loss(landmarks, target, shape)
            parts["points"] = loss.detach()
            parts["ambiguity"] = ambiguity_loss(landmarks, labelled, log_sigma, shape)
            loss = loss + parts["ambiguity"]
        else:
            loss = self._point_loss(landmarks, target, scheme)
            parts["points"] = loss.detach()
        if recipe.gap_weight:
            gaps = gap_loss(landmarks, target, scheme)
            parts["gaps"] = gaps.detach()
            loss = loss + recipe.gap_weight * gaps
        if recipe.uncertainty_weight and self.uncertain:
            # Of the labels, also where others are searched: what is unsure about them is what the search goes by.
            likelihood = uncertainty_loss(landmarks, log_sigma, labelled)
            parts["uncertainty"] = likelihood.detach()
            loss = loss + recipe.uncertainty_weight * likelihood
        return loss, parts

    def _point_loss(self, landmarks: Tensor, target: Tensor, scheme: LandmarkScheme) -> Tensor:
        kind = self.recipe.landmark_loss
        if kind == "thesis":
            return thesis_landmark_loss(landmarks, target, scheme)
        if kind == "wing":
            return wing_loss(landmarks, target)
        errors = percent_errors(landmarks, target)
        if kind == "adaptive-wing":
            # Corners are certain; where along a curve a point lies is not.
            return adaptive_wing(errors, (~self.sliding).to(errors)[:, None]).mean()
        return (soft_wing(errors) if kind == "soft-wing" else rectified_wing(errors)).mean()

    @torch.no_grad()
    def _searched(self, image: Tensor, labelled: Tensor) -> Tensor:
        predicted, log_sigma = self.average.landmark_branch.read(self.embed(self.average, image))
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
        clear = np.array([self.store.kinds[index] == "clear" for index in self.held_out])
        return landmark_figures(model, self._validation, self.store, clear)


def training_faces(store: SampleStore, recipe: Recipe) -> np.ndarray:
    """Indices of the store's faces to learn landmarks from: those known in part as well, where the recipe can."""
    faces, _ = store.split()
    partly, _ = store.split(store.partly_known)
    if not len(partly) or not _one_face_at_a_time(recipe) or recipe.label_noise.level:
        return faces
    return np.sort(np.concatenate([faces, partly]))


def _one_face_at_a_time(recipe: Recipe) -> bool:
    """Whether the recipe goes by nothing but a face's own labels, landmark for landmark."""
    simple = recipe.landmark_loss not in ("star", "adaptive-wing")
    return simple and not (recipe.semantic_alignment or recipe.shape_components)


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


def landmark_figures(model: ATPN, batch: LabeledCrops, store: SampleStore, clear: np.ndarray) -> dict[str, float]:
    """The few figures worth watching during training; (B,) `clear` tells easy pictures, if the data name such."""
    scheme = store.scheme
    predicted, target = predict(model, batch["image"].numpy()).landmarks, batch["landmarks"].numpy()
    figures = {"nme_rectangle": float(metrics.point_errors(predicted, target, metrics.rectangle_size(target)).mean())}
    # Where pose is unknown the comparison is false and the face counts as frontal.
    frontal = ~(np.abs(batch["pose"].numpy()[:, 1]) > np.radians(60))
    if frontal.any():
        predicted, target = predicted[frontal], target[frontal]
        inter_ocular = scheme.inter_ocular(target)
        errors = metrics.point_errors(predicted, target, inter_ocular)
        figures["nme"] = float(errors.mean())
        if (clear := clear[frontal]).any() and not clear.all():
            figures |= {"nme_clear": float(errors[clear].mean()), "nme_hard": float(errors[~clear].mean())}
        for part in metrics.OPENINGS.get(scheme.name, {}):
            opened = [metrics.openings(points, scheme, part) / inter_ocular for points in (predicted, target)]
            figures |= {f"{part}_{key}": value for key, value in metrics.gap_agreement(*opened).items()}
    return figures


def with_heads_of(model: ATPN, recipe: Recipe) -> ATPN:
    """The network with what the recipe's landmark loss needs besides."""
    needs_ambiguity = recipe.landmark_loss == "star" and not model.config.ambiguity
    return model.with_config(ambiguity=True) if needs_ambiguity else model


def new_model(
    store: SampleStore, faces: np.ndarray, width: float, input_size: int, seed: int, thesis: bool = False
) -> ATPN:
    """An untrained network around the training faces' mean shape; `thesis`: as `Recipe.network` says."""
    mean_shape = torch.from_numpy(compute_mean_shape(store.landmarks[faces[:4000]], store.scheme))
    torch.manual_seed(seed)
    config = ATPNConfig(scheme=store.scheme.name, width=width, input_size=input_size)
    if thesis:
        config = replace(config, separable_views=False, refinement_channels=0)
    return ATPN(config, mean_shape)
