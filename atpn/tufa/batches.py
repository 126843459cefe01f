"""Training crops whose labels are points of the plane and where they are on the face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from atpn.data.augment import augment
from atpn.data.crops import Crop
from atpn.data.shear import MAX_SHEAR, sheared
from atpn.train.config import Recipe
from atpn.train.dataset import Steps, stack
from atpn.tufa.anchors import DENSE, converted
from atpn.tufa.network import TUFA
from atpn.tufa.training_set import TrainingSet, epoch_order
from edge_runtime.landmarks import WFLW_98, LandmarkScheme


class PlaneBatch(TypedDict):
    """Face crops and M points of each."""

    image: Tensor
    """(B, S, S, 3) uint8 RGB."""
    plane: Tensor
    """(B, M, 2) query points on the plane."""
    row: Tensor
    """(B, M) int64 rows of alignment embeddings, see `TUFA.forward`."""
    flipped: Tensor
    """(B,) bool: the crop is mirrored, and so are its query points."""
    landmarks: Tensor
    """(B, M, 2) the points in crop coordinates; NaN where unknown."""


class PlanePoints:
    """A sampler of a few labeled points of one scheme, or dense ones, per crop (mean-shape masking, section 6.2.1)."""

    def __init__(
        self, model: TUFA, sources: Sequence[str], count: int, scheme: LandmarkScheme = WFLW_98, pad: bool = False
    ) -> None:
        """Take anchors of the model and perhaps `DENSE` as `sources`; `count` is N_a, 24 of 98 in the thesis.

        `scheme` is that of the crops' landmarks. With `pad`, a crop with fewer known points is asked for other anchors
        of the network as well, whose places are unknown. ValueError without, if a source has fewer points.
        """
        self.count, self.sources, self.mirror = count, tuple(sources), scheme.mirror
        self.schemes = {name: model.scheme_of(name) for name in self.sources if name != DENSE}
        self.own = scheme.name
        self.anchors = model.mean_shapes.cpu().numpy()
        self.rows = {name: model.rows(name) for name in self.schemes}
        for name, rows in self.rows.items():
            length = rows.stop - rows.start
            if length < count and not pad:
                raise ValueError(f"{name} has {length} points, got --points {count}; give {length} at most")
        if pad and len(self.anchors) < count:
            raise ValueError(
                f"the sets have {len(self.anchors)} points together, got --points {count}; "
                f"give {len(self.anchors)} at most"
            )

    def draw(
        self, crop: Crop, plane: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw (M, 2) points on the plane, their (M,) rows of alignment embeddings, and (M, 2) places in the crop.

        `plane` (P, 2) are the crop's dense points on the plane before mirroring, None if it has none, so that a scheme
        is drawn. Points of a mirrored crop are mirrored on the plane.
        """
        known = [name for name in self.sources if name != DENSE or plane is not None]
        source = known[int(rng.integers(len(known)))]
        if source == DENSE:
            chosen = rng.choice(len(plane), self.count, replace=False)
            places, rows, target = plane[chosen], np.zeros(self.count, np.int64), crop.dense[chosen]
        else:
            rows, target = self._draw_anchors(source, crop, rng)
            places = self.anchors[rows - 1]
        if crop.flipped:
            places = np.column_stack([1 - places[:, 0], places[:, 1]])
        return places, rows, target

    def _draw_anchors(self, source: str, crop: Crop, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        labels = crop.landmarks[self.mirror] if crop.flipped else crop.landmarks
        if self.schemes[source] != self.own:
            labels = converted(labels, self.schemes[source])
        start, known = self.rows[source].start, np.flatnonzero(~np.isnan(labels).any(axis=1))
        chosen = known[rng.choice(len(known), min(self.count, len(known)), replace=False)]
        others = np.setdiff1d(np.arange(len(self.anchors)), start + known)
        padding = rng.choice(others, self.count - len(chosen), replace=False)
        target = np.full((self.count, 2), np.nan, np.float32)
        target[: len(chosen)] = labels[chosen]
        return 1 + np.concatenate([start + chosen, padding]), target


@dataclass(eq=False, repr=False)
class PlaneBatches(Steps):
    """Jittered, augmented face crops with points of the plane, from one or several sets."""

    sets: Sequence[TrainingSet]
    faces: Sequence[np.ndarray]
    """Indices of each set's faces."""
    points: Sequence[PlanePoints]
    """Sampler of each set."""
    weights: Sequence[float]
    """Relative number of crops of each set."""
    recipe: Recipe
    crop_size: int
    seed: int
    first_step: int = 0
    shear_prob: float = 0.0
    """Probability that a crop is sheared."""
    _order: tuple[int, np.ndarray] | None = field(default=None, init=False)

    def batch(self, step: int, rng: np.random.Generator) -> PlaneBatch:
        """See `Steps.batch`."""
        images, flipped, drawn = [], [], []
        for position in range(step * self.recipe.batch_size, (step + 1) * self.recipe.batch_size):
            number, index = self._face(position)
            source = self.sets[number]
            crop = source.crop(index, self.crop_size, self.recipe.jitter, rng)
            plane = None if crop.dense is None else source.store.plane(index)
            image = augment(crop.image, self.recipe.augment, rng)
            places, row, target = self.points[number].draw(crop, plane, rng)
            if self.shear_prob and rng.random() < self.shear_prob:
                image, target = sheared(image, target, float(rng.uniform(-MAX_SHEAR, MAX_SHEAR)))
            images.append(image)
            flipped.append(crop.flipped)
            drawn.append((places, row, target))
        plane, row, landmarks = (stack(column) for column in zip(*drawn, strict=True))
        return PlaneBatch(
            image=stack(images),
            plane=plane.float(),
            row=row,
            flipped=torch.tensor(flipped),
            landmarks=landmarks.float(),
        )

    def _face(self, position: int) -> tuple[int, int]:
        """Return set and face at a position of an endless sequence of epochs, each shuffled anew."""
        epoch, place = divmod(position, sum(map(len, self.faces)))
        if self._order is None or self._order[0] != epoch:
            # The second number keeps epochs apart from steps' generators.
            order = epoch_order(self.faces, self.weights, np.random.default_rng([self.seed, 2**32 + epoch]))
            self._order = epoch, order
        number, index = self._order[1][place]
        return int(number), int(index)
