"""Labeled crops for evaluation."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from atpn.data.crops import NO_JITTER, cut_crop, jittered_roi
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
    crops = []
    for index in faces:
        sample = store[int(index)]
        roi = jittered_roi(store.landmarks[index], mean_shape, NO_JITTER, rng)
        crops.append(cut_crop(sample, roi, crop_size))
    return LabeledCrops(
        image=torch.from_numpy(np.stack([crop.image for crop in crops])),
        landmarks=torch.from_numpy(np.stack([crop.landmarks for crop in crops])),
        pose=torch.from_numpy(np.stack([crop.pose for crop in crops])),
    )
