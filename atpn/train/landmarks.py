"""Stage 1: backbone and landmark branch learn landmarks and their uncertainty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atpn.data.background_images import BackgroundImages
from atpn.data.contours import neighbors, sliding
from atpn.data.crops import compute_mean_shape
from atpn.data.label_noise import noisy_landmarks
from atpn.data.store import SampleStore
from atpn.evaluate import metrics
from atpn.evaluate.crops import LabeledCrops, validation_batch
from atpn.evaluate.inference import predict
from atpn.model import ATPN, ATPNConfig
from atpn.model.config import ARCHITECTURES
from atpn.model.landmark_branch import FaceEmbedding
from atpn.train.config import NetworkName, Recipe
from atpn.train.dataset import Batch, FaceBatch, FaceBatches
from atpn.train.heatmaps import KINDS, heatmap_landmark_loss, needs_heatmaps
from atpn.train.losses.activation import activation_penalty
from atpn.train.losses.landmark import (
    GAP_PAIRS,
    gap_loss,
    percent_errors,
    thesis_landmark_loss,
    uncertainty_loss,
    wing_loss,
)
from atpn.train.losses.semantic_alignment import search_landmarks
from atpn.train.losses.shape_correction import correct_labels
from atpn.train.losses.star import ambiguity_loss, star_loss
from atpn.train.losses.wing_variants import adaptive_wing, rectified_wing, soft_wing
from atpn.train.mixing import Alignment, MixedBatches, OtherSet, split_batch
from atpn.train.settling import UNSETTLED, Settling
from edge_runtime.landmarks import LandmarkScheme


class LandmarkTask:
    """See `loop.StageTask`."""

    name = "landmarks"
    trained: tuple[str, ...] = ("backbone", "landmark_branch")

    mean_shape: np.ndarray
    """(N, 2) the network's, in crop coordinates: defines upright crops."""
    ema_model: ATPN
    """The averaged network, set by the loop."""
    settling: Settling = UNSETTLED
    """Steps over which crops become milder, set by the loop."""

    def __init__(
        self,
        store: SampleStore,
        recipe: Recipe,
        seed: int,
        validation: int = 400,
        faces: int | None = None,
        others: Sequence[OtherSet] = (),
        blended: BackgroundImages | None = None,
        teacher: ATPN | None = None,
    ) -> None:
        """Select the training faces, at most `faces`, and prepare their labels.

        The scheme and the convention of `store` are the network's; `others` are further sets, see `mixing`.
        `validation` is the maximum number of held-out faces; `blended`: see `CropSteps`; the landmarks of a `teacher`
        are a second target. ValueError if the recipe does not support the store's scheme, or several sets, or if the
        teacher has another scheme.
        """
        self.store, self.recipe, self.seed, self.others = store, recipe, seed, tuple(others)
        self.blended, self.teacher = blended, teacher
        if teacher is not None:
            if teacher.config.scheme != store.scheme or others or needs_heatmaps(recipe.landmark_loss):
                raise ValueError(
                    f"a teacher of {teacher.config.scheme.name} teaches coordinates of one set of that scheme; got "
                    f"{store.scheme.name}, {1 + len(others)} sets, and the loss {recipe.landmark_loss}"
                )
            teacher.eval().requires_grad_(False)
        if recipe.freeze_backbone:
            self.trained = ("landmark_branch",)
        self.held_out = store.split()[1][:validation]
        self.faces = training_faces(store, recipe)[:faces]
        if others and not _one_face_at_a_time(recipe):
            raise ValueError(
                "losses of heatmaps, STAR loss, adaptive wing, Semantic Alignment, and shape correction do not support "
                "several sets; give one --data, or leave them out"
            )
        self._counts = split_batch(recipe.batch_size, [1.0, *(other.weight for other in others)])
        self.labels = training_labels(store, self.faces, recipe)
        if recipe.semantic_alignment or recipe.landmark_loss == "adaptive-wing":
            self.neighbors = tuple(map(torch.from_numpy, neighbors(store.scheme)))
            self.sliding = torch.from_numpy(sliding(store.scheme))
        self._validation: dict[int, LabeledCrops] = {}

    def begin(self, model: ATPN) -> None:
        """Use this network's mean shape."""
        self.mean_shape = model.mean_shape.cpu().numpy()
        self.uncertain = model.config.uncertainty
        self.alignment = Alignment(self.store.scheme, [o.store.scheme for o in self.others], self.mean_shape)

    def batches(self, crop_size: int, first_step: int) -> FaceBatches | MixedBatches:
        """Return jittered, augmented face crops."""
        stores = [self.store, *(other.store for other in self.others)]
        shapes = self.alignment.mean_shapes if self.others else [self.mean_shape]
        parts = []
        for k, (store, shape, count) in enumerate(zip(stores, shapes, self._counts, strict=True)):
            recipe = replace(self.recipe, batch_size=count)
            faces = training_faces(store, recipe) if k else self.faces
            backgrounds, _ = store.split(store.backgrounds)
            options = store, faces, backgrounds, shape, recipe, crop_size, self.seed + k, first_step
            labels = None if k else self.labels
            parts.append(FaceBatches(*options, labels=labels, settling=self.settling, blended=self.blended))
        return MixedBatches(parts, self.seed, first_step) if self.others else parts[0]

    def loss(self, model: ATPN, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum point, gap, and uncertainty losses over the network's estimates; of several sets, per convention."""
        recipe = self.recipe
        with norm_outputs(model.backbone.mid, model.backbone.high, model.landmark_branch) as activations:
            embedding = self.embed(model, batch)
            if needs_heatmaps(recipe.landmark_loss):
                loss, parts = self._heatmap_loss(model, embedding, batch)
            else:
                loss, parts = self._estimates_loss(model, embedding, batch)
        if recipe.activation_penalty_weight:
            excess = activation_penalty(activations)
            parts["range"] = excess.detach()
            loss = loss + recipe.activation_penalty_weight * excess
        return loss, {key: value.detach() for key, value in parts.items()}

    def _heatmap_loss(
        self, model: ATPN, embedding: FaceEmbedding, batch: FaceBatch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        def averaged_maps() -> Tensor:
            with torch.no_grad():
                return self.ema_model.landmark_branch.heatmaps(self.embed(self.ema_model, batch).fine)

        maps = model.landmark_branch.heatmaps(embedding.fine)
        return heatmap_landmark_loss(self.recipe.landmark_loss, maps, batch["landmarks"], averaged_maps)

    def _estimates_loss(
        self, model: ATPN, embedding: FaceEmbedding, batch: FaceBatch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        recipe = self.recipe
        estimates = model.landmark_branch.estimates(embedding)
        target = self._searched(batch) if recipe.semantic_alignment else None
        shape = model.landmark_branch.read_ambiguity(embedding.vector) if recipe.landmark_loss == "star" else None
        losses = [
            # In full precision: the resolution of bfloat16 here is half a pixel.
            self._estimate_loss(model, landmarks.float(), log_sigma.float(), batch, target, shape)
            for landmarks, log_sigma in estimates
        ]
        loss, parts = torch.stack([each for each, _ in losses]).sum(), losses[-1][1]  # the log has the output's parts
        if self.teacher is not None:
            taught = self._ask(self.teacher, batch["image"])
            distances = [wing_loss(landmarks.float(), taught) for landmarks, _ in estimates]
            loss = loss + recipe.teacher_weight * torch.stack(distances).sum()
            parts["teacher"] = distances[-1]
        return loss, parts

    @torch.no_grad()
    def _ask(self, teacher: ATPN, image: Tensor) -> Tensor:
        """Return the teacher's (B, N, 2) landmarks of (B, 3, S, S) crops, float32."""
        teacher.to(image.device)
        size = teacher.config.input_size
        if image.shape[-1] != size:
            image = F.interpolate(image, (size, size), mode="bilinear", align_corners=False)
        return teacher.landmark_branch(teacher.features(image))[0].float()

    def embed(self, model: ATPN, batch: Batch) -> FaceEmbedding:
        """Return the input of a model's landmark layers."""
        return model.embed(batch["image"])

    def _estimate_loss(
        self,
        model: ATPN,
        landmarks: Tensor,
        log_sigma: Tensor,
        batch: FaceBatch,
        target: Tensor | None,
        shape: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if not self.others:
            return self._loss(landmarks, log_sigma, batch["landmarks"], self.store.scheme, target, shape)
        loss, parts = landmarks.new_zeros(()), {}
        for k, part in enumerate(self.alignment.parts(model, landmarks, log_sigma, batch)):
            own, named = self._loss(part.landmarks, part.log_sigma, part.target, part.scheme)
            loss = loss + part.fraction * own
            parts |= {f"{name}-{k}" if k else name: value for name, value in named.items()}
        return loss, parts

    def _loss(
        self,
        landmarks: Tensor,
        log_sigma: Tensor,
        labeled: Tensor,
        scheme: LandmarkScheme,
        target: Tensor | None = None,
        shape: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss against the labels, or against a corrected target; `shape` is STAR's.

        Labels that are NaN are replaced by the predictions, so that they give no gradient.
        """
        recipe, parts = self.recipe, {}
        known = ~labeled.isnan()
        labeled = torch.where(known, labeled, landmarks.detach())
        target = labeled if target is None else torch.where(known, target, landmarks.detach())
        log_sigma = torch.where(known.all(dim=-1), log_sigma, log_sigma.detach())
        if shape is not None:
            loss = star_loss(landmarks, target, shape)
            parts["points"] = loss.detach()
            parts["ambiguity"] = ambiguity_loss(landmarks, labeled, log_sigma, shape)
            loss = loss + parts["ambiguity"]
        else:
            loss = self._point_loss(landmarks, target, scheme)
            parts["points"] = loss.detach()
        if recipe.gap_weight and scheme.name in GAP_PAIRS:
            gaps = gap_loss(landmarks, target, scheme)
            parts["gaps"] = gaps.detach()
            loss = loss + recipe.gap_weight * gaps
        if recipe.uncertainty_weight and self.uncertain:
            # Of the labels even if the target is corrected: the correction depends on their uncertainty.
            likelihood = uncertainty_loss(landmarks, log_sigma, labeled)
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
            # Corners are certain; positions along a curve are not.
            return adaptive_wing(errors, (~self.sliding).to(errors)[:, None]).mean()
        return (soft_wing(errors) if kind == "soft-wing" else rectified_wing(errors)).mean()

    @torch.no_grad()
    def _searched(self, batch: FaceBatch) -> Tensor:
        predicted, log_sigma = self.ema_model.landmark_branch.read(self.embed(self.ema_model, batch))
        curve = (indices.to(predicted.device) for indices in (*self.neighbors, self.sliding))
        return search_landmarks(batch["landmarks"], predicted.float(), log_sigma.float().exp(), *curve)

    def validate(self, model: ATPN) -> dict[str, float]:
        """Compute `landmark_metrics` on held-out faces."""
        if len(self.held_out) == 0:
            return {}
        size = model.config.input_size
        if size not in self._validation:
            self._validation = {size: validation_batch(self.store, self.held_out, self.mean_shape, size)}
        clear = np.array([self.store.kinds[index] == "clear" for index in self.held_out])
        return landmark_metrics(model, self._validation[size], self.store, clear)


def training_faces(store: SampleStore, recipe: Recipe) -> np.ndarray:
    """Return indices of the faces to train on: partly labeled ones as well, if the recipe supports them."""
    faces, _ = store.split()
    partly, _ = store.split(store.partly_known)
    if not len(partly) or not _one_face_at_a_time(recipe) or recipe.label_noise.level:
        return faces
    return np.sort(np.concatenate([faces, partly]))


def _one_face_at_a_time(recipe: Recipe) -> bool:
    """Return whether the recipe uses each landmark's own label alone."""
    simple = recipe.landmark_loss not in ("star", "adaptive-wing") and not needs_heatmaps(recipe.landmark_loss)
    return simple and not (recipe.semantic_alignment or recipe.shape_components)


def training_labels(store: SampleStore, faces: np.ndarray, recipe: Recipe) -> np.ndarray | None:
    """Return (n, N, 2) changed labels by the store's indices; None: the store's own."""
    if not recipe.label_noise.level and not recipe.shape_components:
        return None
    labels = store.landmarks.copy()
    if recipe.label_noise.level:
        for index in faces:
            labels[index] = noisy_landmarks(labels[index], store.scheme, store.keys[index], recipe.label_noise)
    if recipe.shape_components:
        labels[faces] = correct_labels(labels[faces], store.scheme, recipe.shape_components)
    return labels


@contextmanager
def norm_outputs(*modules: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the outputs of the modules' batch norms while the context is open, in the order of their calls."""
    outputs: list[Tensor] = []
    norms = [m for module in modules for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(lambda _, __, output: outputs.append(output)) for norm in norms]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def landmark_metrics(model: ATPN, batch: LabeledCrops, store: SampleStore, clear: np.ndarray) -> dict[str, float]:
    """Return NME over the longer side and, up to 60° of yaw, over the eye distance, with the agreement of openings.

    The crops of `batch` are of the store's held-out faces; `clear` (B,) says which images are easy, if the data do.
    """
    scheme = store.scheme
    predicted, target = predict(model, batch["image"].numpy()).landmarks, batch["landmarks"].numpy()
    result = {"nme_rectangle": float(metrics.point_errors(predicted, target, metrics.rectangle_size(target)).mean())}
    # NaN for an unknown pose: the comparison is False, and the face counts as frontal.
    frontal = ~(np.abs(batch["pose"].numpy()[:, 1]) > np.radians(60))
    if frontal.any():
        predicted, target = predicted[frontal], target[frontal]
        inter_ocular = scheme.inter_ocular(target)
        errors = metrics.point_errors(predicted, target, inter_ocular)
        result["nme"] = float(errors.mean())
        if (clear := clear[frontal]).any() and not clear.all():
            result |= {"nme_clear": float(errors[clear].mean()), "nme_hard": float(errors[~clear].mean())}
        for part in metrics.OPENINGS.get(scheme.name, {}):
            opened = [metrics.openings(points, scheme, part) / inter_ocular for points in (predicted, target)]
            result |= {f"{part}_{key}": value for key, value in metrics.gap_agreement(*opened).items()}
    return result


def with_loss_heads(model: ATPN, recipe: Recipe) -> ATPN:
    """Return the network with the heads that the recipe's landmark loss needs."""
    if needs_heatmaps(recipe.landmark_loss):
        kind = KINDS[recipe.landmark_loss]
        return model if model.config.heatmaps == kind else model.with_config(heatmaps=kind, refinement_channels=0)
    if model.config.heatmaps != "none":
        raise ValueError(
            f"this network reads landmarks from heatmaps, and the loss {recipe.landmark_loss} is for coordinates: use "
            f"--landmark-loss {', '.join(KINDS)}, or a new network"
        )
    needs_ambiguity = recipe.landmark_loss == "star" and not model.config.ambiguity
    return model.with_config(ambiguity=True) if needs_ambiguity else model


def new_model(
    store: SampleStore,
    faces: np.ndarray,
    width: float | None,
    input_size: int,
    seed: int,
    network: NetworkName = "atpn",
    without: Sequence[str] = (),
) -> ATPN:
    """Build an untrained network with the training faces' mean shape.

    `network` and `without`: see `Recipe`. Without a `width`, the architecture's own.
    """
    mean_shape = torch.from_numpy(compute_mean_shape(store.landmarks[faces[:4000]], store.scheme))
    torch.manual_seed(seed)
    fields = {**ARCHITECTURES[network], **dict.fromkeys(without, False)}
    if width is not None:
        fields["width"] = width
    return ATPN(ATPNConfig(scheme=store.scheme, input_size=input_size, **fields), mean_shape)
