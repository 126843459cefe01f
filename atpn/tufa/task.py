"""TUFA's task in the training loop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from atpn.evaluate import metrics
from atpn.model.decoder_layer import fast_attention
from atpn.train.config import Recipe
from atpn.train.dataset import Batch
from atpn.tufa.anchors import DENSE, converted
from atpn.tufa.batches import PlaneBatches, PlanePoints
from atpn.tufa.inference import predict_plane
from atpn.tufa.network import TUFA
from atpn.tufa.training_set import TrainingSet
from edge_runtime.landmarks import SCHEMES


class TUFATask:
    """See `loop.StageTask`."""

    name = "tufa"

    def __init__(
        self,
        sets: Sequence[TrainingSet],
        recipe: Recipe,
        seed: int,
        points: int,
        align: bool = True,
        features: bool = False,
        validation: int = 400,
        weights: Sequence[float] | None = None,
        shear_prob: float = 0.0,
    ) -> None:
        """Select the training faces; `points` as in `PlanePoints`.

        Without `align` the alignment embeddings stay zero; `features` trains ATPN's features. `validation` is the
        maximum number of held-out faces of a set. `weights` are relative numbers of crops per set; by default as many
        as it has faces. `shear_prob` is the probability that a crop is sheared.
        """
        self.sets, self.recipe, self.seed, self.points = tuple(sets), recipe, seed, points
        self.shear_prob = shear_prob
        frozen = {"alignment": not align, "features": not features}
        self.trained = tuple(part for part in TUFA.PARTS if not frozen.get(part, False))
        splits = [source.split() for source in self.sets]
        self.faces = [faces for faces, _ in splits]
        self.held_out = [held_out[:validation] for _, held_out in splits]
        self.weights = tuple(weights or map(len, self.faces))
        self._validation: dict[int, list[tuple[np.ndarray, np.ndarray] | None]] = {}

    def begin(self, model: TUFA) -> None:
        """Use this network's mean shapes."""
        pad = bool(model.config.sets)
        self._points = [PlanePoints(model, s.sources, self.points, s.store.scheme, pad) for s in self.sets]

    def batches(self, crop_size: int, first_step: int) -> PlaneBatches:
        """Return jittered, augmented face crops with points of the plane."""
        options = self.recipe, crop_size, self.seed, first_step
        return PlaneBatches(self.sets, self.faces, self._points, self.weights, *options, self.shear_prob)

    def loss(self, model: TUFA, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute L1 between mapped anchors and their known labels (equation 6.12), in percent of the crop."""
        with fast_attention(batch["image"].device):
            mapped = model(batch["image"], batch["plane"], batch["row"], batch["flipped"])
        known = ~batch["landmarks"].isnan().any(dim=-1)
        return 100 * (mapped[known] - batch["landmarks"][known]).abs().sum(-1).mean(), {}

    def validate(self, model: TUFA) -> dict[str, float]:
        """Compute the NME over the rectangle's longer side on held-out faces, of every set's anchors."""
        size = model.config.input_size
        if size not in self._validation:
            pairs = zip(self.sets, self.held_out, strict=True)
            self._validation[size] = [s.labeled_crops(faces, size) if len(faces) else None for s, faces in pairs]
        result = {}
        for source, labeled in zip(self.sets, self._validation[size], strict=True):
            for name in [] if labeled is None else source.sources:
                scheme = model.scheme_of(name)
                if name == DENSE or scheme not in (*SCHEMES, source.store.scheme.name):
                    continue
                crops, target = labeled
                predicted = predict_plane(model, crops, model.anchors(name).cpu().numpy())
                labels = target if scheme == source.store.scheme.name else converted(target, scheme)
                result[name] = float(metrics.point_errors(predicted, labels, metrics.rectangle_size(target)).mean())
        return result
