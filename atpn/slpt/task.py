"""The task of SLPT and DSLPT in the training loop."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from atpn.data.crops import compute_mean_shape
from atpn.data.store import SampleStore
from atpn.evaluate.crops import LabeledCrops, validation_batch
from atpn.model.decoder_layer import fast_attention
from atpn.slpt.batches import ShearedFaces
from atpn.slpt.losses import slpt_loss
from atpn.slpt.network import SLPT
from atpn.slpt.recipes import SLPTRecipe
from atpn.train.dataset import Batch
from atpn.train.landmarks import landmark_metrics, training_faces
from atpn.train.settling import UNSETTLED, Settling
from edge_runtime.landmarks import LandmarkScheme

MIN_SIZE = 1e-3
"""Minimum size of a face in crop widths, so that no profile's eye distance makes a loss infinite."""


class SLPTTask:
    """See `loop.StageTask`."""

    name = "slpt"
    ema_model: SLPT
    """The averaged network, set by the loop."""
    settling: Settling = UNSETTLED
    """Steps over which crops become milder, set by the loop."""

    def __init__(
        self, store: SampleStore, recipe: SLPTRecipe, seed: int, backbone: bool = True, validation: int = 400
    ) -> None:
        """Select the training faces; `backbone` trains the feature maps, `validation` limits the held-out faces."""
        self.store, self.own, self.seed = store, recipe, seed
        self.recipe = recipe.recipe
        self.trained = tuple(part for part in SLPT.PARTS if backbone or part != "backbone")
        self.faces = training_faces(store, self.recipe)
        self.held_out = store.split()[1][:validation]
        self.mean_shape = compute_mean_shape(store.landmarks[store.split()[0][:4000]], store.scheme)
        self._validation: dict[int, LabeledCrops] = {}

    def begin(self, model: SLPT) -> None:
        """Use this network's mean shape."""
        self.mean_shape = model.mean_shape.cpu().numpy()

    def batches(self, crop_size: int, first_step: int) -> ShearedFaces:
        """Return jittered, augmented face crops."""
        options = self.recipe, crop_size, self.seed, first_step
        faces = self.store, self.faces, None, self.mean_shape
        return ShearedFaces(*faces, *options, settling=self.settling, shear_prob=self.own.shear_prob)

    def loss(self, model: SLPT, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the network's loss; its parts for the log are each stage's error over the face's size."""
        target = batch["landmarks"]
        size = face_sizes(target, self.store.scheme, self.own.normalizer == "inter-ocular")
        with fast_attention(batch["image"].device):
            stages = model.stages(batch["image"])
        loss = slpt_loss(stages, target, model.config.loss, size)
        with torch.no_grad():
            errors = [(stage.landmarks[-1] - target).norm(dim=-1) / size[:, None] for stage in stages]
            parts = {f"stage{number}": error.nanmean() for number, error in enumerate(errors, start=1)}
        return loss, parts

    def validate(self, model: SLPT) -> dict[str, float]:
        """Compute `landmark_metrics` on held-out faces."""
        if len(self.held_out) == 0:
            return {}
        size = model.config.input_size
        if size not in self._validation:
            self._validation = {size: validation_batch(self.store, self.held_out, self.mean_shape, size)}
        clear = np.array([self.store.kinds[index] == "clear" for index in self.held_out])
        return landmark_metrics(model, self._validation[size], self.store, clear)


def face_sizes(landmarks: Tensor, scheme: LandmarkScheme, inter_ocular: bool) -> Tensor:
    """Return the (B,) sizes of faces in the unit of (B, N, 2) landmarks, of which NaN ones are ignored.

    The longer side of the known landmarks' rectangle; or the distance of the outer eye corners where both are known.
    """
    known = ~landmarks.isnan()
    low = torch.where(known, landmarks, torch.inf).amin(dim=1)
    high = torch.where(known, landmarks, -torch.inf).amax(dim=1)
    size = (high - low).amax(dim=1)
    if inter_ocular:
        left, right = scheme.outer_eye_corners
        eyes = (landmarks[:, left] - landmarks[:, right]).norm(dim=-1)
        size = torch.where(eyes.isnan(), size, eyes)
    return size.clamp_min(MIN_SIZE)
