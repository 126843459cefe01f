"""TUFA's task in the training loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from atpn.data.crops import compute_mean_shape
from atpn.data.store import SampleStore
from atpn.evaluate import metrics
from atpn.evaluate.crops import LabeledCrops, validation_batch
from atpn.model.decoder_layer import fast_attention
from atpn.train.config import Recipe
from atpn.train.dataset import Batch
from atpn.tufa.anchors import DENSE, converted
from atpn.tufa.batches import PlaneBatches, PlanePoints
from atpn.tufa.inference import predict_plane
from atpn.tufa.network import TUFA
from edge_runtime.landmarks import SCHEMES


class TUFATask:
    """See `loop.StageTask`."""

    name = "tufa"

    def __init__(
        self,
        store: SampleStore,
        recipe: Recipe,
        seed: int,
        sources: Sequence[str],
        points: int,
        align: bool = True,
        features: bool = False,
        validation: int = 400,
    ) -> None:
        """Select the training faces; `sources` and `points` as in `PlanePoints`.

        Without `align` the alignment embeddings stay zero; `features` trains ATPN's features. `validation` is the
        maximum number of held-out faces.
        """
        self.store, self.recipe, self.seed, self.sources, self.points = store, recipe, seed, tuple(sources), points
        frozen = {"alignment": not align, "features": not features}
        self.trained = tuple(part for part in TUFA.PARTS if not frozen.get(part, False))
        self.faces, held_out = store.split()
        if all(source == DENSE for source in self.sources):
            self.faces = np.intersect1d(self.faces, store.with_dense)
        self.held_out = held_out[:validation]
        self.mean_shape = compute_mean_shape(store.landmarks[self.faces[:4000]], store.scheme)
        self._validation: dict[int, LabeledCrops] = {}

    def begin(self, model: TUFA) -> None:
        """Use this network's mean shapes."""
        self._points = PlanePoints(model, self.sources, self.points)

    def batches(self, crop_size: int, first_step: int) -> PlaneBatches:
        """Return jittered, augmented face crops with points of the plane."""
        options = self.recipe, crop_size, self.seed, first_step
        return PlaneBatches(self.store, self.faces, None, self.mean_shape, *options, points=self._points)

    def loss(self, model: TUFA, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute L1 between mapped anchors and their labels (equation 6.12), in percent of the crop."""
        with fast_attention(batch["image"].device):
            mapped = model(batch["image"], batch["plane"], batch["row"])
        return 100 * (mapped - batch["landmarks"]).abs().sum(-1).mean(), {}

    def validate(self, model: TUFA) -> dict[str, float]:
        """Compute the NME over the rectangle's longer side on held-out renders, of every training scheme."""
        if len(self.held_out) == 0:
            return {}
        size = model.config.input_size
        if size not in self._validation:
            self._validation[size] = validation_batch(self.store, self.held_out, self.mean_shape, size)
        batch, result = self._validation[size], {}
        target = batch["landmarks"].numpy()
        for name in self.sources:
            if name in SCHEMES:
                predicted = predict_plane(model, batch["image"].numpy(), model.anchors(name).cpu().numpy())
                ground_truth = converted(target, name)
                result[name] = float(
                    metrics.point_errors(predicted, ground_truth, metrics.rectangle_size(target)).mean()
                )
        return result
