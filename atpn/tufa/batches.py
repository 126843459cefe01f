"""Training crops whose labels are points of the plane and where they are on the face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from torch import Tensor

from atpn.data.crops import Crop
from atpn.train.dataset import CropSteps, stack
from atpn.tufa.anchors import DENSE, converted
from atpn.tufa.network import TUFA


class PlaneBatch(TypedDict):
    """Face crops and M points of each."""

    image: Tensor
    """(B, S, S, 3) uint8 RGB."""
    plane: Tensor
    """(B, M, 2) query points on the plane."""
    row: Tensor
    """(B, M) int64 rows of alignment embeddings, see `TUFA.forward`."""
    landmarks: Tensor
    """(B, M, 2) the points in crop coordinates."""


class PlanePoints:
    """A sampler of a few labeled points of one scheme, or dense ones, per crop (mean-shape masking, section 6.2.1)."""

    def __init__(self, model: TUFA, sources: Sequence[str], count: int) -> None:
        """Take schemes of the model and perhaps `DENSE` as `sources`; `count` is N_a, 24 of 98 in the thesis."""
        self.count, self.sources = count, tuple(sources)
        self.rows = {name: model.rows(name) for name in self.sources if name != DENSE}
        self.shapes = {name: model.mean_shapes[rows].cpu().numpy() for name, rows in self.rows.items()}
        for name, shape in self.shapes.items():
            if len(shape) < count:
                raise ValueError(f"{name} has {len(shape)} points, got --points {count}; give {len(shape)} at most")

    def draw(
        self, crop: Crop, plane: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw (M, 2) points on the plane, their (M,) rows of alignment embeddings, and (M, 2) places in the crop.

        The crop has WFLW landmarks; `plane` (P, 2) are its dense points on the plane before mirroring, None if it has
        none, so that a scheme is drawn.
        """
        known = [name for name in self.sources if name != DENSE or plane is not None]
        source = known[int(rng.integers(len(known)))]
        if source == DENSE:
            chosen = rng.choice(len(plane), self.count, replace=False)
            places = plane[chosen]
            if crop.flipped:
                places = np.column_stack([1 - places[:, 0], places[:, 1]])
            return places, np.zeros(self.count, np.int64), crop.dense[chosen]
        chosen = rng.choice(len(self.shapes[source]), self.count, replace=False)
        landmarks = converted(crop.landmarks, source)[chosen]
        return self.shapes[source][chosen], 1 + self.rows[source].start + chosen, landmarks


@dataclass(eq=False, repr=False)
class PlaneBatches(CropSteps):
    """Jittered, augmented face crops with points of the plane."""

    points: PlanePoints = field(kw_only=True)

    def batch(self, step: int, rng: np.random.Generator) -> PlaneBatch:
        """See `Steps.batch`."""
        images, drawn = [], []
        for index, (crop, image) in zip(self.step_faces(step), self.crops(step, rng), strict=True):
            plane = None if crop.dense is None else self.store.plane(index)
            images.append(image)
            drawn.append(self.points.draw(crop, plane, rng))
        plane, row, landmarks = (stack(column) for column in zip(*drawn, strict=True))
        return PlaneBatch(image=stack(images), plane=plane.float(), row=row, landmarks=landmarks.float())
