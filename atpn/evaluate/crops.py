"""Labeled crops for evaluation."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from atpn.data.crops import NO_JITTER, random_crop
from atpn.data.store import SampleStore


class LabeledCrops(TypedDict, total=False):
    """Crops of faces and their labels."""

    image: Tensor
    """(B, S, S, 3) uint8 RGB."""
    landmarks: Tensor
    """(B, N, 2) in crop coordinates."""
    pose: Tensor
    """(B, 3) radians in the crop's frame; NaN where unknown."""


def validation_batch(store: SampleStore, faces: np.ndarray, mean_shape: np.ndarray, crop_size: int) -> LabeledCrops:
    """Crop the faces by the crop rule: upright, no jitter, no augmentation."""
    rng = np.random.default_rng(0)
    crops = [random_crop(store[int(index)], mean_shape, crop_size, NO_JITTER, rng) for index in faces]
    return LabeledCrops(
        image=torch.from_numpy(np.stack([crop.image for crop in crops])),
        landmarks=torch.from_numpy(np.stack([crop.landmarks for crop in crops])),
        pose=torch.from_numpy(np.stack([crop.pose for crop in crops])),
    )
