"""Batches of training crops, each determined by the seed and its step alone, so that a resumed run sees the same."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from atpn.data.augment import AugmentConfig, augment
from atpn.data.background_images import BackgroundImages
from atpn.data.crops import Crop, JitterConfig, random_crop
from atpn.data.sample import Sample
from atpn.data.store import SampleStore
from atpn.data.tracking_groups import TrackingCrop, TrackingGroups
from atpn.evaluate.crops import LabeledCrops
from atpn.train.config import Recipe
from atpn.train.settling import UNSETTLED, Settling

Batch = Mapping[str, Tensor]
"""Tensors of one step by name, each with the crops as its first dimension; `image` is (B, S, S, 3) uint8 RGB."""


class FaceBatch(LabeledCrops, total=False):
    """Face crops of one step."""

    flipped: Tensor
    """(B,) bool: the crop is mirrored."""
    source: Tensor
    """(B,) int64: index of the training set; only of several sets (`mixing.MixedBatches`)."""


def stack(arrays: Sequence[np.ndarray]) -> Tensor:
    """Return arrays of one shape as a tensor with a new first dimension."""
    return torch.from_numpy(np.stack(arrays))


def batch_size(batch: Batch) -> int:
    """Return the number of crops."""
    return len(next(iter(batch.values())))


def prepare(batch: Batch, device: str | torch.device = "cpu") -> dict[str, Tensor]:
    """Move a batch to a device, its images as (B, 3, S, S) float RGB from 0 to 255, channels last in memory."""
    moved = {key: value.to(device, non_blocking=True) for key, value in batch.items()}
    if "image" in moved:
        moved["image"] = moved["image"].permute(0, 3, 1, 2).float()
    return moved


def augmented_crops(
    samples: Iterable[Sample],
    mean_shape: np.ndarray,
    crop_size: int,
    jitter: JitterConfig,
    augmentation: AugmentConfig,
    rng: np.random.Generator,
    mix: Callable[[np.ndarray], np.ndarray] = lambda image: image,
) -> Iterator[tuple[Crop, np.ndarray]]:
    """Yield a jittered crop of each sample and its augmented image; `mix` changes the image before augmentation."""
    for sample in samples:
        crop = random_crop(sample, mean_shape, crop_size, jitter, rng)
        yield crop, augment(mix(crop.image), augmentation, rng)


class Steps(IterableDataset[Batch], ABC):
    """Endless batches from `first_step` on; loader process w of W makes every W-th."""

    def __init__(self, seed: int, first_step: int = 0) -> None:
        self.seed, self.first_step = seed, first_step

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        step, stride = (self.first_step, 1) if worker is None else (self.first_step + worker.id, worker.num_workers)
        while True:
            yield self.batch(step, np.random.default_rng([self.seed, step]))
            step += stride

    @abstractmethod
    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """Return the batch of one step."""


@dataclass(eq=False, repr=False)
class CropSteps(Steps):
    """Batches of crops of a store's faces."""

    store: SampleStore
    faces: np.ndarray
    """Indices into the store."""
    backgrounds: np.ndarray | None
    """Indices into the store of images without a face; None: none."""
    mean_shape: np.ndarray
    """(N, 2) in crop coordinates."""
    recipe: Recipe
    crop_size: int
    seed: int
    first_step: int = 0
    labels: np.ndarray | None = None
    """(n, N, 2) float32 landmarks to learn instead of the store's, by its indices."""
    settling: Settling = UNSETTLED
    """Steps over which crops become milder."""
    blended: BackgroundImages | None = None
    """Images to blend in; None: the store's `backgrounds`."""
    _order: tuple[int, np.ndarray] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.backgrounds is None:
            self.backgrounds = np.zeros(0, np.int64)

    def face(self, position: int) -> int:
        """Return the index of the position-th face of an endless sequence of epochs, each shuffled anew."""
        epoch, place = divmod(position, len(self.faces))
        if self._order is None or self._order[0] != epoch:
            # The second number keeps epochs apart from steps' generators.
            self._order = epoch, np.random.default_rng([self.seed, 2**32 + epoch]).permutation(self.faces)
        return int(self._order[1][place])

    def step_faces(self, step: int) -> list[int]:
        """Return the indices of the step's `batch_size` faces, the next of the epoch's order."""
        size = self.recipe.batch_size
        return [self.face(position) for position in range(step * size, (step + 1) * size)]

    def crops(self, step: int, rng: np.random.Generator) -> Iterator[tuple[Crop, np.ndarray]]:
        """Yield a jittered crop of each of the step's faces, and its augmented image."""
        jitter, augmentation = self.settling.crop_configs(self.recipe, step)
        samples = (self._sample(index) for index in self.step_faces(step))
        mix = partial(self._mixed, rng=rng)
        return augmented_crops(samples, self.mean_shape, self.crop_size, jitter, augmentation, rng, mix)

    def _sample(self, index: int) -> Sample:
        sample = self.store[index]
        return sample if self.labels is None else replace(sample, landmarks=self.labels[index])

    def _mixed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Blend the image with a background, with the recipe's probability."""
        images = BackgroundImages(self.store, self.backgrounds) if self.blended is None else self.blended
        if len(images) == 0 or rng.random() >= self.recipe.background_mix:
            return image
        other = images.crop(self.crop_size, rng)
        weight = rng.uniform(0.1, 0.4)
        return cv2.addWeighted(image, 1 - weight, other, weight, 0)


class FaceBatches(CropSteps):
    """Jittered, augmented face crops with landmarks and pose (stages 1 and 3)."""

    def batch(self, step: int, rng: np.random.Generator) -> FaceBatch:
        """See `Steps.batch`."""
        crops, images = zip(*self.crops(step, rng), strict=True)
        return FaceBatch(
            image=stack(images),
            landmarks=stack([crop.landmarks for crop in crops]),
            pose=stack([crop.pose for crop in crops]),
            flipped=torch.tensor([crop.flipped for crop in crops]),
        )


class TrackingBatches(CropSteps):
    """Groups of one framed face and `negatives` crops around it or from elsewhere (stage 2)."""

    @cached_property
    def groups(self) -> TrackingGroups:
        """Groups with the recipe's settings."""
        recipe = self.recipe
        settings = recipe.negatives, recipe.jitter, recipe.scenes, recipe.augment, recipe.negative_kinds
        return TrackingGroups(self.store, self.backgrounds, self.mean_shape, self.crop_size, *settings)

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """Return as many whole groups as fit into `batch_size`: `image`, and `is_face` (B,).

        `landmarks` (B, N, 2) float32 are those of displaced faces, in crop coordinates; NaN for the other crops.
        """
        recipe, groups = self.recipe, self.groups
        count = recipe.batch_size // (1 + recipe.negatives)
        crops: list[TrackingCrop] = []
        for position in range(step * count, (step + 1) * count):
            crops += groups.draw(self.face(position), rng)
        is_face = np.zeros(len(crops), bool)
        is_face[:: 1 + recipe.negatives] = True
        unknown = np.full((self.store.scheme.count, 2), np.nan)
        landmarks = np.stack([unknown if crop.landmarks is None else crop.landmarks for crop in crops])
        return {
            "image": stack([crop.image for crop in crops]),
            "is_face": torch.from_numpy(is_face),
            "landmarks": torch.from_numpy(landmarks.astype(np.float32)),
        }


def load(batches: IterableDataset[Batch], workers: int) -> Iterator[Batch]:
    """Yield batches in order from processes forked from this one; ValueError has the last line of a process's error."""
    if workers == 0:
        yield from batches
        return
    source = DataLoader(
        batches,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4,
        multiprocessing_context="fork",
        worker_init_fn=_start_worker,
    )
    try:
        yield from source
    except (OSError, RuntimeError, ValueError) as error:
        # The loader puts the worker's whole traceback into the message; the worker's own message ends it.
        last = str(error).strip().splitlines()[-1]
        raise ValueError(last.removeprefix(f"{type(error).__name__}: ")) from error


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)
    # Ctrl-C and `timeout` signal the whole process group, but only the trainer may respond: it saves, then ends its
    # loaders. In a session of its own a loader gets no such signal, and the trainer's handlers are not inherited.
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
