"""Stage 3: the pose branch learns the head's rotation in the crop's frame; all other parts are frozen."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from atpn.data.background_images import BackgroundImages
from atpn.data.store import SampleStore
from atpn.evaluate.crops import LabeledCrops, validation_batch
from atpn.evaluate.inference import predict
from atpn.evaluate.metrics import pose_errors
from atpn.model import ATPN
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, FaceBatches
from atpn.train.losses.pose import pose_loss
from atpn.train.settling import UNSETTLED, Settling
from atpn.train.tracking import mean_shape_for, read_frozen


class PoseTask:
    """See `loop.StageTask`."""

    name = "pose"
    trained = ("pose_branch",)

    mean_shape: np.ndarray
    """(N, 2) the network's, in crop coordinates and the data's scheme: defines upright crops."""
    settling: Settling = UNSETTLED
    """Steps over which crops become milder, set by the loop."""

    def __init__(
        self,
        store: SampleStore,
        recipe: Recipe,
        seed: int,
        validation: int = 400,
        blended: BackgroundImages | None = None,
    ) -> None:
        """Select the faces that have a rotation; ValueError if there are none. `blended`: see `CropSteps`."""
        self.store, self.recipe, self.seed, self.blended = store, recipe, seed, blended
        known = ~np.isnan(store.rotation).any(axis=(1, 2))
        self.faces, self.held_out = (indices[known[indices]] for indices in store.split())
        self.held_out = self.held_out[:validation]
        self.backgrounds, _ = store.split(store.backgrounds)
        if len(self.faces) == 0:
            raise ValueError("no face of the training set has a rotation; give data with head poses")
        self._validation: LabeledCrops | None = None

    def begin(self, model: ATPN) -> None:
        """Use this network's mean shape."""
        self.mean_shape = mean_shape_for(model, self.store)

    def batches(self, crop_size: int, first_step: int) -> FaceBatches:
        """Return jittered, augmented face crops."""
        options = self.mean_shape, self.recipe, crop_size, self.seed, first_step
        changes = {"settling": self.settling, "blended": self.blended}
        return FaceBatches(self.store, self.faces, self.backgrounds, *options, **changes)

    def loss(self, model: ATPN, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of the angles."""
        predicted = model.pose(*read_frozen(model, batch["image"])).float()
        return pose_loss(predicted, batch["pose"], self.recipe.pose_loss), {}

    def validate(self, model: ATPN) -> dict[str, float]:
        """Compute the mean absolute error per angle and over all three, in degrees, on held-out faces."""
        if len(self.held_out) == 0:
            return {}
        if self._validation is None:
            self._validation = validation_batch(self.store, self.held_out, self.mean_shape, model.config.input_size)
        errors = pose_errors(predict(model, self._validation["image"].numpy()).pose, self._validation["pose"].numpy())
        names = ("pitch", "yaw", "roll")
        return {"mae": float(errors.mean()), **dict(zip(names, map(float, errors.mean(axis=0)), strict=True))}
