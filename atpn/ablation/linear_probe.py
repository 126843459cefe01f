"""Linear probe: landmark layers trained on frozen face embeddings of crops that are made once.

For comparing losses and labels: a row of an ablation takes a minute instead of an hour, with the same vectors.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from atpn.data.store import SampleStore
from atpn.evaluate.inference import predict_embeddings
from atpn.model import ATPN
from atpn.model.landmark_branch import FaceEmbedding
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, CropSteps, Steps, load, stack
from atpn.train.landmarks import LandmarkTask
from edge_runtime.arrays import load_arrays
from edge_runtime.files import write_atomically
from edge_runtime.geometry import ROI


@dataclass(frozen=True)
class EmbeddedCrops:
    """Face vectors of n crops and the crops' places, to which labels of any kind can be mapped."""

    vectors: np.ndarray
    """(n, V) float32 input of the landmark layers."""
    faces: np.ndarray
    """(n,) indices into the store."""
    regions: np.ndarray
    """(n, 4) ROIs in the sample's image: center x and y, size, roll."""
    flipped: np.ndarray
    """(n,) bool."""

    def landmarks(self, labels: np.ndarray, mirror: np.ndarray) -> np.ndarray:
        """Map (samples, N, 2) pixel labels, by the store's indices, to (n, N, 2) float32 crop coordinates."""
        placed = [ROI(*map(float, r)).to_crop(labels[i]) for i, r in zip(self.faces, self.regions, strict=True)]
        placed = np.array(placed, np.float32)
        mirrored = placed[self.flipped][:, mirror]
        mirrored[..., 0] = 1 - mirrored[..., 0]
        placed[self.flipped] = mirrored
        return placed

    def save(self, path: Path) -> None:
        """Write all arrays into one .npz file, atomically."""
        stream = io.BytesIO()
        np.savez(stream, vectors=self.vectors, faces=self.faces, regions=self.regions, flipped=self.flipped)
        write_atomically(path, stream.getvalue())

    @classmethod
    def load(cls, path: Path) -> EmbeddedCrops:
        """Read what `save` wrote; ValueError if it is damaged."""
        return cls(**load_arrays(path, ["vectors", "faces", "regions", "flipped"]))


class PlacedCrops(CropSteps):
    """Jittered, augmented crops and their places."""

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """Return `image` and `place` (B, 6): index into the store, ROI, and whether the crop is mirrored."""
        crops, images = zip(*self.crops(step, rng), strict=True)
        places = [
            (index, crop.roi.cx, crop.roi.cy, crop.roi.size, crop.roi.roll, crop.flipped)
            for index, crop in zip(self.step_faces(step), crops, strict=True)
        ]
        return {"image": stack(images), "place": torch.tensor(places, dtype=torch.float64)}


def embed_crops(
    model: ATPN, store: SampleStore, faces: np.ndarray, recipe: Recipe, views: int, seed: int, workers: int
) -> EmbeddedCrops:
    """Embed about `views` jittered, augmented crops of each face, cut around the exact labels."""
    crops = PlacedCrops(store, faces, None, model.mean_shape.numpy(), recipe, model.config.input_size, seed)
    steps = -(-views * len(faces) // recipe.batch_size)
    vectors, places = [], []
    for batch in tqdm(islice(load(crops, workers), steps), "crops", steps, unit="batch", disable=None):
        vectors.append(predict_embeddings(model, batch["image"].numpy()).numpy())
        places.append(batch["place"].numpy())
    place = np.concatenate(places)
    return EmbeddedCrops(np.concatenate(vectors), place[:, 0].astype(np.int64), place[:, 1:5], place[:, 5] > 0)


class LinearProbeTask(LandmarkTask):
    """The landmark stage on face embeddings in place of images."""

    trained = ("landmark_branch",)

    def __init__(self, crops: EmbeddedCrops, store: SampleStore, recipe: Recipe, seed: int, faces: int | None) -> None:
        super().__init__(store, recipe, seed, faces=faces)
        self.vectors = torch.from_numpy(crops.vectors)
        labels = store.landmarks if self.labels is None else self.labels
        self.landmarks = torch.from_numpy(crops.landmarks(labels, store.scheme.mirror))

    def batches(self, crop_size: int, first_step: int) -> VectorBatches:
        """Return random vectors with their landmarks."""
        return VectorBatches(self.vectors, self.landmarks, self.recipe.batch_size, self.seed, first_step)

    def embed(self, model: ATPN, batch: Batch) -> FaceEmbedding:
        """Return the batch's vectors."""
        vector = batch["vector"]
        return FaceEmbedding(vector, vector.new_zeros(len(vector), 0))


class VectorBatches(Steps):
    """Random choices of embedded crops."""

    def __init__(self, vectors: Tensor, landmarks: Tensor, batch_size: int, seed: int, first_step: int) -> None:
        super().__init__(seed, first_step)
        self.vectors, self.landmarks, self.batch_size = vectors, landmarks, batch_size

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """Return `vector` (B, V) and `landmarks` (B, N, 2) of random crops."""
        chosen = torch.from_numpy(rng.choice(len(self.vectors), self.batch_size))
        return {"vector": self.vectors[chosen], "landmarks": self.landmarks[chosen]}
