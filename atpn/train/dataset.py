"""Batches of training crops, each determined by the seed and its step alone, so that a resumed run sees the same."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from atpn.data.augment import augment
from atpn.data.crops import random_crop
from atpn.data.scenes import background_roi
from atpn.data.store import SampleStore
from atpn.data.tracking_groups import TrackingGroups
from atpn.evaluate.crops import LabeledCrops
from atpn.train.config import Recipe
from atpn.train.settling import UNSETTLED, Settling
from edge_runtime.geometry import extract_crop


class Batch(LabeledCrops, total=False):
    """Tensors of one step; stages use what they need."""

    is_face: Tensor
    """(B,) bool."""
    plane: Tensor
    """(B, M, 2) points asked for on the mean-face plane, whose places are then the `landmarks`."""
    row: Tensor
    """(B, M) int64: see `TUFA.forward`."""
    dense: Tensor
    """(B, P, 2) dense points in crop coordinates; NaN where unknown."""
    flipped: Tensor
    """(B,) bool: mirrored crops, whose dense points are those of the mirrored plane."""
    source: Tensor
    """(B,) int64: which of several training sets a crop is of (`mixing.MixedBatches`)."""
    clean: Tensor
    """(B, S, S, 3) uint8 RGB: the image as it was before augmentation."""
    centres: Tensor
    """(B, G, G), with the next three: see `detection.detection_targets`."""
    counted: Tensor
    regions: Tensor
    region_weight: Tensor


class Steps(IterableDataset[Batch], ABC):
    """Endless batches from `first_step` on; loader process w of W makes every W-th step."""

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
        """The batch of one step."""


class CropSteps(Steps):
    """Batches of crops of a store's faces."""

    def __init__(
        self,
        store: SampleStore,
        faces: np.ndarray,
        backgrounds: np.ndarray,
        mean_shape: np.ndarray,
        recipe: Recipe,
        crop_size: int,
        seed: int,
        first_step: int = 0,
    ) -> None:
        """`faces` and `backgrounds` are indices into the store; there may be no backgrounds."""
        super().__init__(seed, first_step)
        self.store, self.faces, self.backgrounds = store, faces, backgrounds
        self.mean_shape, self.recipe, self.crop_size = mean_shape, recipe, crop_size
        self._order: tuple[int, np.ndarray] | None = None

    def face(self, position: int) -> int:
        """The index of the position-th face of an endless row of epochs, each shuffled anew."""
        epoch, place = divmod(position, len(self.faces))
        if self._order is None or self._order[0] != epoch:
            # The second number keeps epochs apart from steps' generators.
            self._order = epoch, np.random.default_rng([self.seed, 2**32 + epoch]).permutation(self.faces)
        return int(self._order[1][place])


class FaceBatches(CropSteps):
    """Jittered, augmented face crops with landmarks and pose (stages 1 and 3)."""

    labels: np.ndarray | None = None
    """(n, N, 2) float32 landmarks to learn instead of the store's, by its indices."""
    settling: Settling = UNSETTLED
    """When crops become milder."""

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """`batch_size` faces, the next of the epoch's order."""
        recipe, size = self.recipe, self.recipe.batch_size
        jitter, augmentation = self.settling.crop_configs(recipe, step)
        images, landmarks, poses, flipped = [], [], [], []
        for position in range(step * size, (step + 1) * size):
            index = self.face(position)
            sample = self.store[index]
            if self.labels is not None:
                sample = replace(sample, landmarks=self.labels[index])
            crop = random_crop(sample, self.mean_shape, self.crop_size, jitter, rng)
            image = crop.image
            if len(self.backgrounds) and rng.random() < recipe.background_mix:
                image = self._mixed(image, rng)
            images.append(augment(image, augmentation, rng))
            landmarks.append(crop.landmarks)
            poses.append(crop.pose)
            flipped.append(crop.flipped)
        return Batch(
            image=torch.from_numpy(np.stack(images)),
            landmarks=torch.from_numpy(np.stack(landmarks)),
            pose=torch.from_numpy(np.stack(poses)),
            flipped=torch.tensor(flipped),
        )

    def _mixed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        background = self.store.image(int(rng.choice(self.backgrounds)))
        other = extract_crop(background, background_roi(background, rng), self.crop_size)
        share = rng.uniform(0.1, 0.4)
        return cv2.addWeighted(image, 1 - share, other, share, 0)


class TrackingBatches(CropSteps):
    """Groups of one framed face and `negatives` crops around it or from backgrounds (stage 2)."""

    @property
    def groups(self) -> TrackingGroups:
        """Groups with the recipe's settings."""
        recipe = self.recipe
        settings = recipe.negatives, recipe.jitter, recipe.scenes, recipe.augment
        return TrackingGroups(self.store, self.backgrounds, self.mean_shape, self.crop_size, *settings)

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """As many whole groups as fit into `batch_size`."""
        recipe, groups = self.recipe, self.groups
        count = recipe.batch_size // (1 + recipe.negatives)
        images: list[np.ndarray] = []
        for position in range(step * count, (step + 1) * count):
            images += groups.draw(self.face(position), rng)
        is_face = np.zeros(len(images), bool)
        is_face[:: 1 + recipe.negatives] = True
        return Batch(image=torch.from_numpy(np.stack(images)), is_face=torch.from_numpy(is_face))


def load(batches: IterableDataset[Batch], workers: int) -> Iterator[Batch]:
    """Batches in the order of their steps, from processes forked from this one, which share the store.

    ValueError tells in one line what broke a loader process.
    """
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
    # Ctrl-C and `timeout` signal the whole process group, but only the trainer may answer: it saves, then ends its
    # loaders. In a session of its own a loader hears from nobody else, and the trainer's handlers are not inherited.
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
