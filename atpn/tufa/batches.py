"""Training crops whose labels are points of the plane and where they are on the face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from atpn.data.augment import augment
from atpn.data.crops import Crop, random_crop
from atpn.data.store import SampleStore
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, CropSteps
from atpn.tufa.anchors import DENSE, converted
from atpn.tufa.network import TUFA


class PlanePoints:
    """Draws a few labelled points of one scheme, or dense ones, for each crop (mean-shape masking, section 6.2.1)."""

    def __init__(self, model: TUFA, sources: Sequence[str], count: int) -> None:
        """`sources` are schemes of the model and perhaps `DENSE`; `count` is N_a, 24 of 98 in the thesis."""
        self.count, self.sources = count, tuple(sources)
        self.rows = {name: model.rows(name) for name in self.sources if name != DENSE}
        self.shapes = {name: model.mean_shapes[rows].cpu().numpy() for name, rows in self.rows.items()}
        for name, shape in self.shapes.items():
            if len(shape) < count:
                raise ValueError(f"{name} has {len(shape)} points, but {count} are asked of each crop; ask fewer")

    def draw(
        self, crop: Crop, plane: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(M, 2) places on the plane, (M,) rows of alignment embeddings, (M, 2) places in the crop.

        `plane` is where the crop's dense points lie on the plane before mirroring; None: the crop has none, and a
        scheme takes their turn.
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


class PlaneBatches(CropSteps):
    """Jittered, augmented face crops with points of the plane."""

    def __init__(
        self,
        store: SampleStore,
        faces: np.ndarray,
        points: PlanePoints,
        mean_shape: np.ndarray,
        recipe: Recipe,
        crop_size: int,
        seed: int,
        first_step: int = 0,
    ) -> None:
        super().__init__(store, faces, np.zeros(0, np.int64), mean_shape, recipe, crop_size, seed, first_step)
        self.points = points

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """`batch_size` faces, the next of the epoch's order."""
        recipe, size, images, drawn = self.recipe, self.recipe.batch_size, [], []
        for position in range(step * size, (step + 1) * size):
            index = self.face(position)
            sample = self.store[index]
            crop = random_crop(sample, self.mean_shape, self.crop_size, recipe.jitter, rng)
            plane = None if sample.dense is None else self.store.plane(index)
            images.append(augment(crop.image, recipe.augment, rng))
            drawn.append(self.points.draw(crop, plane, rng))
        plane, row, landmarks = (torch.from_numpy(np.stack(column)) for column in zip(*drawn, strict=True))
        return Batch(
            image=torch.from_numpy(np.stack(images)), plane=plane.float(), row=row, landmarks=landmarks.float()
        )
