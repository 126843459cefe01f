"""Face vectors of a frozen network in labeled crops, kept in memory: a head over them trains in minutes on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import NO_JITTER
from atpn.data.store import SampleStore
from atpn.distill.images import UnlabeledFaces
from atpn.model import ATPN
from atpn.train.config import RECIPES
from atpn.train.dataset import CropSteps, FaceBatch, load, prepare, stack

RECIPE = replace(RECIPES["atpn", "landmarks"], batch_size=64)
"""Recipe of the crops: that of the network itself."""


class DenseBatch(FaceBatch):
    """Face crops with dense points."""

    dense: Tensor
    """(B, P, 2) dense points in crop coordinates, in mirrored crops those of the mirrored plane; NaN where unknown."""
    clean: Tensor
    """(B, S, S, 3) uint8 RGB: the image before augmentation."""


class DenseCrops(CropSteps):
    """Jittered, augmented face crops with landmarks and dense points."""

    def batch(self, step: int, rng: np.random.Generator) -> DenseBatch:
        """See `Steps.batch`."""
        crops, images = zip(*self.crops(step, rng), strict=True)
        unknown = np.full((self.store.dense_count, 2), np.nan, np.float32)
        return DenseBatch(
            image=stack(images),
            clean=stack([crop.image for crop in crops]),
            landmarks=stack([crop.landmarks for crop in crops]),
            dense=stack([unknown if crop.dense is None else crop.dense for crop in crops]),
            flipped=torch.tensor([crop.flipped for crop in crops]),
        )


Teacher = Callable[[Tensor], Tensor]
"""(B, S, S, 3) uint8 RGB crops to the (B, M, 2) points of a template."""


@dataclass(frozen=True)
class FaceEmbeddings:
    """Face vectors of n crops from a frozen network, and the crops' points."""

    vectors: Tensor
    """(n, V) input of the landmark layer."""
    landmarks: Tensor
    """(n, N, 2) labels in [0, 1] of the crop."""
    dense: Tensor
    """(n, P, 2) dense points in [0, 1] of the crop; NaN where unknown."""
    flipped: Tensor
    """(n,) bool: the crop is mirrored, and its dense points are those of the mirrored plane."""
    teacher_points: Tensor | None = None
    """(n, M, 2) a teacher's points of a template in the crops without augmentation."""

    def __len__(self) -> int:
        return len(self.vectors)


@torch.no_grad()
def embed_faces(
    model: ATPN,
    crops: DenseCrops,
    count: int,
    teacher: Teacher | None = None,
    workers: int = 1,
) -> FaceEmbeddings:
    """Embed the first `count` crops, rounded up to whole batches, with a model in inference mode."""
    parts: list[tuple[Tensor, ...]] = []
    steps = -(-count // crops.recipe.batch_size)
    with tqdm(total=steps * crops.recipe.batch_size, desc="faces", unit="crop", disable=None) as bar:
        for batch in islice(load(crops, workers), steps):
            targets = [] if teacher is None else [teacher(batch["clean"])]
            vectors = model.face_embedding(prepare(batch)["image"])
            parts.append((vectors, batch["landmarks"], batch["dense"], batch["flipped"], *targets))
            bar.update(len(vectors))
    return FaceEmbeddings(*(torch.cat(column) for column in zip(*parts, strict=True)))


def embed_store(
    model: ATPN,
    store: SampleStore | UnlabeledFaces,
    faces: np.ndarray,
    count: int,
    seed: int,
    workers: int,
    teacher: Teacher | None = None,
    augmented: bool = True,
) -> FaceEmbeddings:
    """Embed `count` crops of a store's faces, jittered and augmented or by the crop rule alone."""
    recipe = replace(RECIPE, batch_size=min(RECIPE.batch_size, count))
    if not augmented:
        recipe = replace(recipe, jitter=NO_JITTER, augment=NO_AUGMENT)
    crops = DenseCrops(store, faces, None, model.mean_shape.numpy(), recipe, model.config.input_size, seed)
    return embed_faces(model, crops, count, teacher, workers)
