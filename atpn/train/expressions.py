"""The expression stage: ARKit's coefficients and gaze; all other parts of the network are frozen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from atpn.data.store import SampleStore
from atpn.evaluate.expressions import expression_crops, labeled_faces, summarize
from atpn.evaluate.inference import predict_expressions
from atpn.model import ATPN
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, CropSteps, stack
from atpn.train.losses.expressions import expression_loss, gaze_loss
from atpn.train.settling import UNSETTLED, Settling
from atpn.train.tracking import mean_shape_for
from edge_runtime.expressions import EXPRESSIONS


def with_expression_branch(model: ATPN, store: SampleStore) -> ATPN:
    """Return the network with an untrained branch for the coefficients that vary in the data.

    The network itself if it has a branch for these.
    """
    labels = store.expressions[labeled_faces(store)]
    given = tuple(name for name, moves in zip(EXPRESSIONS, (labels > 0).any(axis=0), strict=True) if moves)
    return model if model.config.expressions == given else model.with_config(expressions=given)


@dataclass(eq=False, repr=False)
class ExpressionBatches(CropSteps):
    """Jittered, augmented face crops with expressions and gaze."""

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """Return `image`, `expressions` (B, 52), and `gaze` (B, 2, 2) in the crop's frame."""
        crops, images = zip(*self.crops(step, rng), strict=True)
        return {
            "image": stack(images),
            "expressions": stack([crop.expressions for crop in crops]),
            "gaze": stack([crop.gaze for crop in crops]),
        }


class ExpressionTask:
    """See `loop.StageTask`."""

    name = "expressions"
    trained = ("expression_branch",)

    mean_shape: np.ndarray
    """(N, 2) the network's, in crop coordinates and the data's scheme: defines upright crops."""
    settling: Settling = UNSETTLED
    """Steps over which crops become milder, set by the loop."""

    def __init__(self, store: SampleStore, recipe: Recipe, seed: int, validation: int = 400) -> None:
        """Select the faces that have expressions and gaze; ValueError if there are none."""
        self.store, self.recipe, self.seed = store, recipe, seed
        self.faces, self.held_out = store.split(labeled_faces(store))
        self.held_out = self.held_out[:validation]
        self.backgrounds, _ = store.split(store.backgrounds)
        if len(self.faces) == 0:
            raise ValueError("no face of the training set has expressions and gaze; make them with `atpn render`")

    def begin(self, model: ATPN) -> None:
        """Use this network's mean shape."""
        self.mean_shape = mean_shape_for(model, self.store)

    def batches(self, crop_size: int, first_step: int) -> ExpressionBatches:
        """Return jittered, augmented face crops."""
        options = self.mean_shape, self.recipe, crop_size, self.seed, first_step
        return ExpressionBatches(self.store, self.faces, self.backgrounds, *options, settling=self.settling)

    def loss(self, model: ATPN, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of the coefficients and of the gaze."""
        assert model.expression_branch is not None
        with torch.no_grad():
            face = model.read_face(batch["image"])
        branch = model.expression_branch
        logits, gaze = branch.read(face)
        expressions = expression_loss(logits, batch["expressions"], branch.given, self.recipe.absolute_weight)
        looks = gaze_loss(gaze, batch["gaze"], batch["expressions"])
        return expressions + self.recipe.gaze_weight * looks, {
            "expressions": expressions.detach(),
            "gaze": looks.detach(),
        }

    def validate(self, model: ATPN) -> dict[str, float]:
        """Compute error and correlation of the coefficients, and the gaze error, on held-out faces."""
        if len(self.held_out) == 0:
            return {}
        truth = expression_crops(self.store, self.held_out, self.mean_shape, model.config.input_size)
        return summarize(predict_expressions(model, truth.images), truth)
