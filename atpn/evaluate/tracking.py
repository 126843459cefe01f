"""Crops and metrics for evaluating the tracking branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import JitterConfig
from atpn.data.sample import Sample
from atpn.data.scenes import NEGATIVE_IOU, SceneConfig, negative_roi
from atpn.data.store import SampleStore
from atpn.data.tracking_groups import TrackingGroups
from atpn.evaluate.metrics import average_precision, precision_recall
from edge_runtime.geometry import ROI, extract_crop

THRESHOLD = 0.7
"""Confidence threshold of the error rates (the thesis')."""
NEGATIVES = 10
"""Negatives per face, as in training (thesis, section 3.3.2)."""
FOLLOWED = JitterConfig(
    center_sigma=0.03, scale_sigma=0.06, roll_sigma=5.0, wide_roll_prob=0.0, unrolled_prob=0.0, flip_prob=0.0
)
"""Changes of a tracked head's ROI between two frames."""


def tracking_crops(
    store: SampleStore,
    faces: np.ndarray,
    backgrounds: np.ndarray,
    mean_shape: np.ndarray,
    crop_size: int,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, S, S, 3) crops, the same for a seed, and (n,) labels.

    Each face is cropped upright with the ROI errors of a tracked head (`FOLLOWED`), with ten negatives: around it,
    parts of it, and backgrounds. Images are neither augmented nor trimmed; about half are pasted into a background.
    """
    groups = TrackingGroups(
        store, backgrounds, mean_shape, crop_size, NEGATIVES, FOLLOWED, SceneConfig(trim_prob=0.0), NO_AUGMENT
    )
    rng = np.random.default_rng(seed)
    crops = [crop.image for index in faces for crop in groups.draw(int(index), rng)]
    is_face = np.zeros((len(faces), 1 + NEGATIVES), bool)
    is_face[:, 0] = True
    return np.stack(crops), is_face.ravel()


def photograph_crops(samples: Sequence[Sample], crop_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, S, S, 3) crops of true ROIs and up to ten random negatives per face, and (n,) labels.

    Negatives that overlap another face of the image are left out.
    """
    rng = np.random.default_rng(0)
    crops, is_face = [], []
    for sample in samples:
        ground_truth = ROI.from_landmarks(sample.landmarks)
        others = [ROI.from_landmarks(face) for face in ([] if sample.neighbors is None else sample.neighbors)]
        for k, roi in enumerate([ground_truth, *(negative_roi(ground_truth, rng) for _ in range(NEGATIVES))]):
            if k == 0 or all(roi.iou(other) < NEGATIVE_IOU for other in (ground_truth, *others)):
                crops.append(extract_crop(sample.image, roi, crop_size))
                is_face.append(k == 0)
    return np.stack(crops), np.array(is_face)


def tracking_report(confidence: np.ndarray, is_face: np.ndarray) -> dict[str, Any]:
    """Return `tracking_metrics` and the precision-recall curve."""
    return {**tracking_metrics(confidence, is_face), "precision_recall": precision_recall(confidence, is_face)}


def tracking_metrics(confidence: np.ndarray, is_face: np.ndarray) -> dict[str, float]:
    """Return average precision, error rates at the threshold, and the numbers of crops; NaN is below any threshold."""
    return {
        "positives": int(is_face.sum()),
        "negatives": int((~is_face).sum()),
        "average_precision": average_precision(confidence, is_face),
        "missed": float((~(confidence[is_face] >= THRESHOLD)).mean()),
        "false_alarms": float((confidence[~is_face] >= THRESHOLD).mean()),
    }
