"""The task of an ATPN whose landmarks and uncertainty are taught by a DSLPT, on renders and on unlabeled faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from atpn.data.sample import Sample
from atpn.data.store import SampleStore
from atpn.distill.images import UnlabeledFaces
from atpn.evaluate import metrics
from atpn.evaluate.crops import LabeledCrops, validation_batch
from atpn.evaluate.inference import predict
from atpn.evaluate.reliability import calibration
from atpn.model import ATPN, ATPNOutput
from atpn.model.decoder_layer import fast_attention
from atpn.slpt.network import SLPT
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, CropSteps, FaceBatch, stack
from atpn.train.landmarks import norm_outputs
from atpn.train.losses.activation import activation_penalty
from atpn.train.losses.teacher import sigma_divergence, weighted_wing
from atpn.train.settling import UNSETTLED, Settling

MAX_YAW = np.radians(60)
"""Maximum yaw in radians of faces to validate on: in profile the eye distance vanishes."""


class JoinedFaces:
    """The faces of several sources by one index."""

    def __init__(self, sources: Sequence[tuple[SampleStore | UnlabeledFaces, np.ndarray]]) -> None:
        """Take sources and the indices of their faces to train on."""
        self._places = [(source, int(index)) for source, faces in sources for index in faces]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Sample:
        source, own = self._places[index]
        return source[own]


class TaughtBatch(FaceBatch):
    """Face crops for student and teacher."""

    clean: Tensor
    """(B, T, T, 3) uint8 RGB in the teacher's size: the images before augmentation."""


@dataclass(eq=False, repr=False)
class TaughtCrops(CropSteps):
    """Jittered crops of `crop_size`, the teacher's input; augmented and resized for the student."""

    student_size: int = 112

    def batch(self, step: int, rng: np.random.Generator) -> TaughtBatch:
        """See `Steps.batch`."""
        crops, images = zip(*self.crops(step, rng), strict=True)
        side = (self.student_size, self.student_size)
        return TaughtBatch(
            image=stack([cv2.resize(image, side, interpolation=cv2.INTER_AREA) for image in images]),
            clean=stack([crop.image for crop in crops]),
            landmarks=stack([crop.landmarks for crop in crops]),
        )


class TaughtLandmarks:
    """See `loop.StageTask`. The backbone is frozen, so that the tracking and pose branches stay valid."""

    name = "landmarks"
    trained = ("landmark_branch",)
    ema_model: ATPN
    """The averaged network, set by the loop."""
    settling: Settling = UNSETTLED
    """Steps over which crops become milder, set by the loop."""

    def __init__(
        self,
        teacher: SLPT,
        faces: JoinedFaces,
        recipe: Recipe,
        seed: int,
        held_out: tuple[SampleStore, np.ndarray] | None = None,
    ) -> None:
        """Take the training faces, and renders with their indices to validate on."""
        self.teacher, self.faces, self.recipe, self.seed, self._held_out = teacher, faces, recipe, seed, held_out
        self._validation: dict[int, LabeledCrops] = {}

    def begin(self, model: ATPN) -> None:
        """Use this network's mean shape."""
        self.mean_shape = model.mean_shape.cpu().numpy()

    def batches(self, crop_size: int, first_step: int) -> TaughtCrops:
        """Return jittered, augmented face crops."""
        faces = self.faces, np.arange(len(self.faces)), None, self.mean_shape, self.recipe
        options = self.teacher.config.input_size, self.seed, first_step
        return TaughtCrops(*faces, *options, settling=self.settling, student_size=crop_size)

    def loss(self, model: ATPN, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the weighted distances from the teacher's landmarks and the divergences of uncertainty over estimates."""
        target = self.ask(batch["clean"])
        with norm_outputs(model.landmark_branch) as activations:
            estimates = model.landmark_branch.estimates(model.embed(batch["image"]))
        points, divergence = [], []
        for landmarks, log_sigma in estimates:
            landmarks, log_sigma = landmarks.float(), log_sigma.float()
            points.append(weighted_wing(landmarks, target.landmarks, target.uncertainty))
            divergence.append(sigma_divergence(landmarks, log_sigma, target.landmarks, target.uncertainty))
        excess = activation_penalty(activations)
        loss = sum(points) + self.recipe.uncertainty_weight * sum(divergence)
        loss = loss + self.recipe.activation_penalty_weight * excess
        parts = {"points": points[-1], "divergence": divergence[-1], "range": excess}
        return loss, {name: value.detach() for name, value in parts.items()}

    @torch.no_grad()
    def ask(self, crops: Tensor) -> ATPNOutput:
        """Return the teacher's results for (B, T, T, 3) uint8 RGB crops, in full precision."""
        device = crops.device
        self.teacher.to(device)
        with torch.autocast(device.type, enabled=False), fast_attention(device):
            return self.teacher(crops.permute(0, 3, 1, 2).float())

    def validate(self, model: ATPN | SLPT) -> dict[str, float]:
        """Compute `covered_metrics` of the student, or of the teacher, on the held-out renders."""
        if self._held_out is None:
            return {}
        (store, faces), size = self._held_out, model.config.input_size
        if size not in self._validation:
            self._validation[size] = validation_batch(store, faces, self.mean_shape, size)
        return covered_metrics(model, self._validation[size], store, faces)


def covered_metrics(model: ATPN | SLPT, batch: LabeledCrops, store: SampleStore, faces: np.ndarray) -> dict[str, float]:
    """Return the NME over the eye distance of `visible` and `covered` landmarks, and of `all`, up to 60° of yaw.

    Covered are those hidden by hands, masks, hair, or the head itself. `rank_correlation` compares the distances of
    covered and visible ones with their predicted uncertainty; only of networks with uncertainty.
    """
    facing = ~(batch["pose"][:, 1].abs() > MAX_YAW).numpy()
    if not facing.any():
        return {}
    target = batch["landmarks"].numpy()[facing]
    found = predict(model, batch["image"].numpy()[facing])
    errors = metrics.point_errors(found.landmarks, target, store.scheme.inter_ocular(target))
    visible = store.visibility[faces][facing]
    result = {"all": float(errors.mean())}
    for name, chosen in (("visible", visible), ("covered", ~visible)):
        if chosen.any():
            result[name] = float(errors[chosen].mean())
    if found.uncertainty.any():
        distance = np.linalg.norm(found.landmarks - target, axis=-1)
        result["rank_correlation"] = calibration(distance, found.uncertainty)["rank_correlation"]
    return result
