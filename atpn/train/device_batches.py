"""Face batches made on the training device, without loader processes.

Images are decoded once and stay on the device. Random numbers are drawn on the host for a whole batch, from the seed
and the step; a batch takes a few hundred operations, whatever its size, and none waits for the device. The crops have
the distribution of `FaceBatches`, but are not the same.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from atpn.data.crops import filled
from atpn.data.device_augment import augment_batch
from atpn.data.device_images import DeviceImages
from atpn.data.rois import background_rois, crop_landmarks, crop_poses, jittered_rois
from atpn.train.dataset import Batch, FaceBatch, FaceBatches, Steps
from atpn.train.mixing import MixedBatches
from edge_runtime.geometry import Intrinsics, upright_roll


class DeviceLoader:
    """Maker of face batches on a device. It keeps decoded images from one input size to the next."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._faces: dict[int, _DeviceFaces] = {}

    def load(self, batches: IterableDataset[Batch]) -> Steps:
        """Return endless batches of the same faces and recipe, made on the device.

        ValueError if an image cannot be decoded, or the device's memory is too small for all.
        """
        if isinstance(batches, MixedBatches):
            parts = [self._placed(k, part) for k, part in enumerate(batches.parts)]
            return MixedBatches(parts, batches.seed, batches.first_step)
        return self._placed(0, batches)

    def _placed(self, part: int, batches: FaceBatches) -> DeviceFaceBatches:
        if part not in self._faces:
            self._faces[part] = _DeviceFaces(batches, self._device)
        return DeviceFaceBatches(batches, self._faces[part])


class _DeviceFaces:
    """A training set's images on a device, and its labels on the host, by row."""

    def __init__(self, batches: FaceBatches, device: torch.device) -> None:
        store, faces = batches.store, batches.faces
        self.backgrounds = batches.backgrounds if batches.recipe.background_mix else batches.backgrounds[:0]
        kept = np.concatenate([faces, self.backgrounds])
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding releases the interpreter
            self.images = DeviceImages(pool.map(store.image, kept.tolist()), device)
        self.noise = torch.Generator(device)
        self.row = np.full(len(store), -1)
        """(n,) rows of the images by the store's indices; -1: not loaded."""
        self.row[kept] = np.arange(len(kept))
        self.mirror = store.scheme.mirror
        self.landmarks = (store.landmarks if batches.labels is None else batches.labels)[faces]
        self.framing = np.stack([filled(points, batches.mean_shape) for points in self.landmarks])
        """(f, N, 2) landmarks that define the crops, all known."""
        self.upright_roll = np.array([upright_roll(points, batches.mean_shape) for points in self.framing])
        self.rotation = store.rotation[faces]
        assumed = [Intrinsics.from_fov(int(width), int(height)) for height, width in self.images.sizes[: len(faces)]]
        assumed = np.array([[camera.fx, camera.fy, camera.cx, camera.cy] for camera in assumed])
        known = store.intrinsics[faces]
        self.intrinsics = np.where(np.isnan(known).any(axis=1, keepdims=True), assumed, known)


class DeviceFaceBatches(Steps):
    """The steps of `FaceBatches`, with images on a device and labels on the host."""

    def __init__(self, batches: FaceBatches, faces: _DeviceFaces) -> None:
        super().__init__(batches.seed, batches.first_step)
        self._batches, self._faces = batches, faces

    def batch(self, step: int, rng: np.random.Generator) -> FaceBatch:
        """See `FaceBatches.batch`."""
        recipe, faces, count = self._batches.recipe, self._faces, self._batches.recipe.batch_size
        jitter, augmentation = self._batches.settling.crop_configs(recipe, step)
        faces.noise.manual_seed(int(rng.integers(2**62)))
        rows = faces.row[self._batches.step_faces(step)]
        rois = jittered_rois(faces.framing[rows], faces.upright_roll[rows], jitter, rng)
        flipped = rng.random(count) < jitter.flip_prob
        images = faces.images.crops(rows, rois, flipped, self._batches.crop_size)
        if len(faces.backgrounds):
            images = self._mixed(images, recipe.background_mix, rng)
        images = augment_batch(images, augmentation, rng, faces.noise)
        return FaceBatch(
            image=images.round().to(torch.uint8),
            landmarks=torch.from_numpy(crop_landmarks(faces.landmarks[rows], rois, flipped, faces.mirror)),
            pose=torch.from_numpy(crop_poses(faces.rotation[rows], rois, faces.intrinsics[rows], flipped)),
            flipped=torch.from_numpy(flipped),
        )

    def _mixed(self, images: Tensor, probability: float, rng: np.random.Generator) -> Tensor:
        """Blend some of the images with a background."""
        faces, count = self._faces, len(images)
        rows = faces.row[rng.choice(faces.backgrounds, count)]
        rois = background_rois(faces.images.sizes[rows], rng)
        others = faces.images.crops(rows, rois, np.zeros(count, bool), self._batches.crop_size)
        weight = np.where(rng.random(count) < probability, rng.uniform(0.1, 0.4, count), 0.0)
        weight = torch.from_numpy(weight.astype(np.float32)).to(images.device, non_blocking=True)
        return torch.lerp(images, others, weight[:, None, None, None])
