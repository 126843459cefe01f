"""The detector's stage: face detection in images composed of renders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from atpn.data.augment import NO_AUGMENT
from atpn.data.composites import Composite, CompositeConfig, Compositor
from atpn.data.store import SampleStore
from atpn.evaluate.matching import match_detections
from atpn.evaluate.metrics import average_precision
from atpn.model.detector import DetectorConfig, FaceDetector
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, Steps, stack
from atpn.train.losses.detection import focal_loss, region_loss, turn_loss
from edge_runtime.detector import decode_detections
from edge_runtime.geometry import ROI

MIN_SCORE = 0.02
"""Minimum score of detections that count for average precision."""
TARGET_SIGMA = 0.06
"""Standard deviation of the target around a face's center, in ROI sizes."""
MIN_TARGET_SIGMA = 0.7
"""Minimum of the same in cells, for small faces."""
TURN_WEIGHT = 0.5
"""Weight of the roll's error: a right angle off costs as much as a center half a face away."""
MIN_REGION_TARGET = 0.5
"""Minimum target of cells that learn the ROI: on the device, a cell beside the center may score highest."""


class DetectionTask:
    """See `loop.StageTask`."""

    name = "detector"
    trained = FaceDetector.PARTS

    def __init__(self, store: SampleStore, recipe: Recipe, seed: int, validation: int = 400) -> None:
        self.store, self.recipe, self.seed = store, recipe, seed
        (self.faces, held_out), (self.backgrounds, held_out_backgrounds) = store.split(), store.split(store.backgrounds)
        self.validation = validation if len(held_out) and len(held_out_backgrounds) else 0
        self.held_out = (held_out, held_out_backgrounds)

    def begin(self, model: FaceDetector) -> None:
        """Do nothing: images depend on the input size alone."""

    def batches(self, crop_size: int, first_step: int) -> DetectionBatches:
        """Return images with their targets."""
        composites = Compositor(self.store, self.faces, self.backgrounds, self.recipe.composites)
        return DetectionBatches(composites, self.recipe.batch_size, crop_size, self.seed, first_step)

    def loss(self, model: FaceDetector, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the centers' focal loss, the ROIs' error, and that of their roll."""
        output = model(batch["image"])
        centers = focal_loss(output.logits, batch["centers"], batch["mask"])
        regions = region_loss(output.regions, batch["regions"], batch["region_weight"])
        turns = turn_loss(output.turns, batch["roll"], batch["region_weight"])
        parts = {"centers": centers.detach(), "regions": regions.detach(), "turns": turns.detach()}
        return centers + regions + TURN_WEIGHT * turns, parts

    def validate(self, model: FaceDetector) -> dict[str, float]:
        """Compute `compute_metrics` on images of held-out people."""
        if not self.validation:
            return {}
        return detection_metrics(model, held_out_images(self.store, *self.held_out, self.validation, model))


class DetectionBatches(Steps):
    """Images with targets for every cell of the detector's grid."""

    def __init__(self, composites: Compositor, batch_size: int, size: int, seed: int, first_step: int = 0) -> None:
        super().__init__(seed, first_step)
        self.composites, self.batch_size = composites, batch_size
        self.config = DetectorConfig(input_size=size)

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """Return `image` and `detection_targets` of `batch_size` new images."""
        made = [self.composites.compose(self.config.input_size, rng) for _ in range(self.batch_size)]
        targets = [detection_targets(composite, self.config.grid) for composite in made]
        stacked = {key: stack([target[key] for target in targets]) for key in targets[0]}
        return {"image": stack([composite.image for composite in made]), **stacked}


def detection_targets(composite: Composite, grid: int) -> dict[str, np.ndarray]:
    """Compute float32 targets of a (G, G) grid.

    Returns:
        `centers` (G, G): 1 in the cell of each required face's center, with a Gaussian around it. `mask` (G, G): 0
        where an optional face lies, else 1. `regions` (G, G, 3): ROI (x, y, size) of the nearest face in [0, 1] of the
        image, and `roll` (G, G) its roll. `region_weight` (G, G): weight of the cell's ROI in the loss.
    """
    centers, mask = np.zeros((grid, grid), np.float32), np.ones((grid, grid), np.float32)
    regions, axis = np.zeros((grid, grid, 4), np.float32), np.arange(grid, dtype=np.float32)
    for region, required in zip(composite.regions, composite.required, strict=True):
        x, y, size = region[:3] * grid - (0.5, 0.5, 0.0)
        if not required:
            near = np.maximum(np.abs(axis[:, None] - y), np.abs(axis[None] - x)) <= max(size / 2, 1.0)
            mask[near & (centers == 0)] = 0
            continue
        column, row = (int(np.clip(round(float(v)), 0, grid - 1)) for v in (x, y))
        spread = max(TARGET_SIGMA * float(size), MIN_TARGET_SIGMA)
        bump = np.exp(-((axis[:, None] - row) ** 2 + (axis[None] - column) ** 2) / (2 * spread**2))
        closer = bump > centers
        centers[closer] = bump[closer]
        mask[bump > 0.1] = 1
        regions[closer] = region
    return {
        "centers": centers,
        "mask": mask,
        "regions": regions[..., :3],
        "roll": regions[..., 3],
        "region_weight": np.where(centers >= MIN_REGION_TARGET, centers, np.float32(0)),
    }


def held_out_images(
    store: SampleStore, faces: np.ndarray, backgrounds: np.ndarray, count: int, model: FaceDetector
) -> list[Composite]:
    """Compose the same images in every call, without photometric augmentation."""
    composites = Compositor(store, faces, backgrounds, CompositeConfig(augment=NO_AUGMENT))
    return [composites.compose(model.config.input_size, np.random.default_rng([0, i])) for i in range(count)]


@torch.no_grad()
def raw_detections(
    model: FaceDetector, images: np.ndarray, batch: int = 50
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run the detector on (n, S, S, 3) uint8 RGB images.

    Returns:
        (n, G, G) scores, (n, G, G, 3) ROIs, and (n, G, G, 2) sines and cosines of their roll.
    """
    device, scores, regions, turns = model.image_mean.device, [], [], []
    for start in range(0, len(images), batch):
        output = model(torch.from_numpy(images[start : start + batch]).to(device).permute(0, 3, 1, 2).float())
        scores.append(output.logits.sigmoid().cpu().numpy())
        regions.append(output.regions.cpu().numpy())
        turns.append(output.turns.cpu().numpy())
    return np.concatenate(scores), np.concatenate(regions), np.concatenate(turns)


def detection_metrics(model: FaceDetector, images: Sequence[Composite]) -> dict[str, float]:
    """Run a network on images and compute its metrics."""
    raw = raw_detections(model, np.stack([image.image for image in images]))
    found = [decode_detections(scores, rois, MIN_SCORE, turns) for scores, rois, turns in zip(*raw, strict=True)]
    return compute_metrics(found, images)


def compute_metrics(predictions: Sequence[list[tuple[float, ROI]]], images: Sequence[Composite]) -> dict[str, float]:
    """Compute average precision, maximum recall, and mean overlap of the true positives, with their roll.

    Predictions are (score, ROI in [0, 1] of the side) per image, best first.
    """
    scores, is_face, overlaps, missed = [], [], [], 0
    for image, detections in zip(images, predictions, strict=True):
        faces = [ROI(*map(float, region)) for region in image.regions]
        matches, unfound = match_detections(detections, faces, image.required)
        missed += len(unfound)
        for (score, _), overlap in zip(detections, matches, strict=True):
            if overlap is not None:
                scores.append(score)
                is_face.append(overlap > 0)
                overlaps += [overlap] if overlap > 0 else []
    if not overlaps:
        return {"average_precision": 0.0, "recall": 0.0, "overlap": 0.0}
    recall = len(overlaps) / (len(overlaps) + missed)
    # `average_precision` takes recall among the detected faces.
    precision = recall * average_precision(np.array(scores), np.array(is_face))
    return {"average_precision": precision, "recall": recall, "overlap": float(np.mean(overlaps))}
