"""What a frozen network sees in labelled crops, kept in memory: a head over it trains in minutes on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset
from tqdm import tqdm

from atpn.data.augment import augment
from atpn.data.crops import random_crop
from atpn.data.store import SampleStore
from atpn.model import ATPN
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, CropSteps, load


class DenseCrops(CropSteps):
    """Jittered crops with all their labels, landmarks and dense points, and as they were before augmentation."""

    def __init__(
        self, store: SampleStore, faces: np.ndarray, mean_shape: np.ndarray, recipe: Recipe, size: int, seed: int
    ) -> None:
        super().__init__(store, faces, np.zeros(0, np.int64), mean_shape, recipe, size, seed)

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """`batch_size` faces, the next of the epoch's order."""
        size, crops, images, dense = self.recipe.batch_size, [], [], []
        nowhere = np.full((self.store.dense_count, 2), np.nan, np.float32)
        for position in range(step * size, (step + 1) * size):
            index = self.face(position)
            sample = self.store[index]
            crop = random_crop(sample, self.mean_shape, self.crop_size, self.recipe.jitter, rng)
            crops.append(crop)
            images.append(augment(crop.image, self.recipe.augment, rng))
            dense.append(nowhere if crop.dense is None else crop.dense)
        return Batch(
            image=_stacked(images),
            clean=_stacked([crop.image for crop in crops]),
            landmarks=_stacked([crop.landmarks for crop in crops]),
            dense=_stacked(dense),
            flipped=torch.tensor([crop.flipped for crop in crops]),
        )


Teacher = Callable[[Tensor], Tensor]
"""(B, S, S, 3) uint8 RGB crops to the (B, M, 2) points that a template asks for."""


@dataclass(frozen=True)
class FaceVectors:
    """n crops as a frozen network sees them, and where their points are."""

    vectors: Tensor
    """(n, V) what the landmarks are read from."""
    landmarks: Tensor
    """(n, N, 2) labels in [0, 1] of the crop."""
    dense: Tensor
    """(n, P, 2) dense points in [0, 1] of the crop; NaN where unknown."""
    flipped: Tensor
    """(n,) bool: the crop is mirrored, and its dense points are those of the mirrored plane."""
    taught: Tensor | None = None
    """(n, M, 2) where a teacher finds a template's points, seeing the crops without augmentation."""

    def __len__(self) -> int:
        return len(self.vectors)


@torch.no_grad()
def face_vectors(
    model: ATPN,
    batches: IterableDataset[Batch],
    count: int,
    teacher: Teacher | None = None,
    workers: int = 1,
) -> FaceVectors:
    """What a model in inference mode sees in the first `count` crops, to a whole batch, and what a teacher says."""
    parts: list[tuple[Tensor, ...]] = []
    done = 0
    with tqdm(total=count, desc="faces", unit="crop", disable=None) as bar:
        for batch in load(batches, workers):
            image = batch["image"].permute(0, 3, 1, 2).float()
            row = [model.face_embedding(image)]
            row += [batch["landmarks"], batch["dense"], batch["flipped"]]
            row += [] if teacher is None else [teacher(batch["clean"])]
            parts.append(tuple(row))
            done += len(image)
            bar.update(len(image))
            if done >= count:
                break
    return FaceVectors(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _stacked(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(arrays)))
