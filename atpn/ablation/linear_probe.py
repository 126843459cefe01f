"""Landmarks' last linear layers alone, trained on what a network's frozen features see in crops made once.

For comparing losses and labels: a row of an ablation takes a minute instead of an hour, and differs from the next by
nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from atpn.data.augment import augment
from atpn.data.crops import random_crop
from atpn.data.store import SampleStore
from atpn.evaluate.inference import predict_embeddings
from atpn.model import ATPN
from atpn.model.landmark_branch import FaceEmbedding
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, CropSteps, Steps, load
from atpn.train.landmarks import LandmarkTask
from edge_runtime.files import write_atomically
from edge_runtime.geometry import ROI


@dataclass(frozen=True)
class SeenCrops:
    """n crops as frozen features see them, without labels: where they lie tells any labels' places in them."""

    vectors: np.ndarray
    """(n, V) float32 what landmarks are read from."""
    faces: np.ndarray
    """(n,) indices into the store."""
    regions: np.ndarray
    """(n, 4) regions in the sample's image: centre x and y, size, roll."""
    flipped: np.ndarray
    """(n,) bool."""

    def landmarks(self, labels: np.ndarray, mirror: np.ndarray) -> np.ndarray:
        """(n, N, 2) float32 in the crops' coordinates of (samples, N, 2) pixel labels by the store's indices."""
        placed = [ROI(*map(float, r)).to_crop(labels[i]) for i, r in zip(self.faces, self.regions, strict=True)]
        placed = np.array(placed, np.float32)
        mirrored = placed[self.flipped][:, mirror]
        mirrored[..., 0] = 1 - mirrored[..., 0]
        placed[self.flipped] = mirrored
        return placed

    def save(self, path: Path) -> None:
        """Write all arrays into one .npz file, whole or not at all."""
        stream = io.BytesIO()
        np.savez(stream, vectors=self.vectors, faces=self.faces, regions=self.regions, flipped=self.flipped)
        write_atomically(path, stream.getvalue())

    @classmethod
    def load(cls, path: Path) -> SeenCrops:
        """What `save` wrote."""
        with np.load(path) as arrays:
            return cls(**arrays)


class _Crops(CropSteps):
    """Jittered, augmented crops and where they lie; the landmarks' place holds face, region and mirroring."""

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        size, images, places = self.recipe.batch_size, [], []
        for position in range(step * size, (step + 1) * size):
            index = self.face(position)
            crop = random_crop(self.store[index], self.mean_shape, self.crop_size, self.recipe.jitter, rng)
            images.append(augment(crop.image, self.recipe.augment, rng))
            places.append([index, crop.roi.cx, crop.roi.cy, crop.roi.size, crop.roi.roll, crop.flipped])
        return Batch(image=torch.from_numpy(np.stack(images)), landmarks=torch.tensor(places, dtype=torch.float64))


def see_crops(
    model: ATPN, store: SampleStore, faces: np.ndarray, recipe: Recipe, views: int, seed: int, workers: int
) -> SeenCrops:
    """About `views` jittered, augmented crops of each face, cut around the exact labels, as the model sees them."""
    none, size = np.zeros(0, np.int64), model.config.input_size
    crops = _Crops(store, faces, none, model.mean_shape.numpy(), recipe, size, seed)
    steps = -(-views * len(faces) // recipe.batch_size)
    vectors, places = [], []
    source: Iterator[Batch] = load(crops, workers)
    for _ in tqdm(range(steps), desc="crops", unit="batch", disable=None):
        batch = next(source)
        vectors.append(predict_embeddings(model, batch["image"].numpy()).numpy())
        places.append(batch["landmarks"].numpy())
    place = np.concatenate(places)
    return SeenCrops(np.concatenate(vectors), place[:, 0].astype(np.int64), place[:, 1:5], place[:, 5] > 0)


class LinearProbeTask(LandmarkTask):
    """The landmark stage from the vectors on."""

    trained = ("landmark_branch",)

    def __init__(self, seen: SeenCrops, store: SampleStore, recipe: Recipe, seed: int, faces: int | None) -> None:
        super().__init__(store, recipe, seed, faces=faces)
        self.vectors = torch.from_numpy(seen.vectors)[:, None, None]  # as an image of one pixel
        labels = store.landmarks if self.labels is None else self.labels
        self.placed = torch.from_numpy(seen.landmarks(labels, store.scheme.mirror))

    def batches(self, crop_size: int, first_step: int) -> Steps:
        """Vectors in place of images."""
        return _Vectors(self.vectors, self.placed, self.recipe.batch_size, self.seed, first_step)

    def embed(self, model: ATPN, image: Tensor) -> FaceEmbedding:
        """The batch's own."""
        vector = image.flatten(1)
        return FaceEmbedding(vector, vector.new_zeros(len(vector), 0))


class _Vectors(Steps):
    """Random crops among those seen."""

    def __init__(self, vectors: Tensor, landmarks: Tensor, batch_size: int, seed: int, first_step: int) -> None:
        super().__init__(seed, first_step)
        self.vectors, self.landmarks, self.batch_size = vectors, landmarks, batch_size

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        chosen = torch.from_numpy(rng.choice(len(self.vectors), self.batch_size))
        return Batch(image=self.vectors[chosen], landmarks=self.landmarks[chosen])
