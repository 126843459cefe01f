"""Stage 2: the tracking branch learns whether a crop holds a properly framed face; all else is frozen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import JitterConfig
from atpn.data.sample import Sample
from atpn.data.scenes import NEGATIVE_IOU, SceneConfig, negative_roi
from atpn.data.store import SampleStore
from atpn.model import ATPN
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, TrackingBatches
from atpn.train.inference import predict
from atpn.train.losses import tracking_loss
from atpn.train.metrics import average_precision
from edge_runtime.geometry import ROI, extract_crop
from edge_runtime.landmarks import convert, scheme_by_name

THRESHOLD = 0.7
"""The thesis' tracking threshold, for the error rates in the log."""
NEGATIVES = 10
"""Per face of a photograph, as in training (thesis, section 3.3.2)."""


FOLLOWED = JitterConfig(
    centre_sigma=0.03, scale_sigma=0.06, roll_sigma=5.0, wide_roll_share=0.0, unrolled_share=0.0, flip_share=0.0
)
"""What a head that is being followed does to its ROI from one frame to the next."""


class TrackingTask:
    """See `loop.StageTask`."""

    name = "tracking"
    trained = ("tracking_branch",)

    mean_shape: np.ndarray
    """(N, 2) in crop coordinates: what crops are upright against; the network's own, in the data's scheme."""

    def __init__(self, store: SampleStore, recipe: Recipe, seed: int, validation: int = 400) -> None:
        self.store, self.recipe, self.seed = store, recipe, seed
        if len(store.faces) + len(store.boxed) == 0:
            raise ValueError("the training set holds neither faces with landmarks nor faces with boxes to track")
        self.faces, self.held_out = (
            np.concatenate(rows) for rows in zip(store.split(), store.split_boxed(), strict=True)
        )
        # Each held-out face brings its negatives along.
        self.held_out = self.held_out[: max(1, validation // 4)]
        self.backgrounds, self.held_out_backgrounds = store.split_backgrounds()

    def begin(self, model: ATPN) -> None:
        """Take this network's mean shape."""
        self.mean_shape = mean_shape_for(model, self.store) if len(self.store.faces) else model.mean_shape.cpu().numpy()

    def batches(self, crop_size: int, first_step: int) -> TrackingBatches:
        """Faces, each with its negatives."""
        return TrackingBatches(
            self.store, self.faces, self.backgrounds, self.mean_shape, self.recipe, crop_size, self.seed, first_step
        )

    def loss(self, model: ATPN, image: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy."""
        logits = model.tracking_branch(frozen_input(model, image)).float()
        return tracking_loss(logits, batch["is_face"], self.recipe.balance_classes), {}

    def validate(self, model: ATPN) -> dict[str, float]:
        """Average precision and both error rates at the tracking threshold, on held-out faces and backgrounds."""
        if len(self.held_out) == 0:
            return {}
        size = model.config.input_size
        images, is_face = tracking_crops(self.store, self.held_out, self.held_out_backgrounds, self.mean_shape, size)
        return tracking_figures(predict(model, images).confidence, is_face)


def tracking_crops(
    store: SampleStore,
    faces: np.ndarray,
    backgrounds: np.ndarray,
    mean_shape: np.ndarray,
    crop_size: int,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """(n, S, S, 3) crops to measure tracking on, drawn the same for a seed, and (n,) labels.

    Each face is cropped upright, off by what a followed head moves between two frames (`FOLLOWED`), and brings ten
    negatives: around it, from parts of it and from backgrounds. Pictures are not augmented and never cut; about half
    are set into a background, so that their borders give nothing away.
    """
    recipe = Recipe(samples=None, jitter=FOLLOWED, augment=NO_AUGMENT, scenes=SceneConfig(trim_share=0.0))
    batches = TrackingBatches(store, faces, backgrounds, mean_shape, recipe, crop_size, seed=0)
    rng = np.random.default_rng(seed)
    groups = [batches.group(int(index), rng) for index in faces]
    is_face = np.zeros((len(groups), 1 + recipe.negatives), bool)
    is_face[:, 0] = True
    return np.stack([crop for group in groups for crop in group]), is_face.ravel()


def photograph_crops(samples: Sequence[Sample], crop_size: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, S, S, 3) crops of true regions (roll 0, no jitter) and up to ten random ones per face, and (n,) labels.

    Regions that meet another face of the picture are left out, so there are somewhat fewer.
    """
    rng = np.random.default_rng(0)
    crops, is_face = [], []
    for sample in samples:
        truth = ROI.from_landmarks(sample.landmarks)
        others = [ROI.from_landmarks(face) for face in ([] if sample.neighbours is None else sample.neighbours)]
        for k, roi in enumerate([truth, *(negative_roi(truth, rng) for _ in range(NEGATIVES))]):
            if k == 0 or all(roi.iou(other) < NEGATIVE_IOU for other in (truth, *others)):
                crops.append(extract_crop(sample.image, roi, crop_size))
                is_face.append(k == 0)
    return np.stack(crops), np.array(is_face)


def tracking_figures(confidence: np.ndarray, is_face: np.ndarray) -> dict[str, float]:
    """Average precision, what the threshold loses and lets through, and how many crops that was measured on."""
    return {
        "positives": int(is_face.sum()),
        "negatives": int((~is_face).sum()),
        "average_precision": average_precision(confidence, is_face),
        "missed": float((confidence[is_face] < THRESHOLD).mean()),
        "false_alarms": float((confidence[~is_face] >= THRESHOLD).mean()),
    }


def mean_shape_for(model: ATPN, store: SampleStore) -> np.ndarray:
    """(N, 2) the network's mean shape as landmarks of the store's scheme; ValueError when these do not come of it."""
    return convert(model.mean_shape.cpu().numpy(), scheme_by_name(model.config.scheme), store.scheme)


@torch.no_grad()
def frozen_input(model: ATPN, image: Tensor) -> Tensor:
    """The heatmap-weighted low features of a batch, from the frozen parts only."""
    features = model.features(image)
    landmarks, _ = model.landmark_branch(features)
    return model.weighted_low(features, landmarks)
