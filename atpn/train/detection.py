"""The detector's stage: it learns where faces are in pictures put together from renders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from atpn.data.augment import NO_AUGMENT
from atpn.data.composites import Gathering, GatheringConfig, Gatherings
from atpn.data.store import SampleStore
from atpn.evaluate.matching import match_detections
from atpn.evaluate.metrics import average_precision
from atpn.model.detector import DetectorConfig, FaceDetector
from atpn.train.config import Recipe
from atpn.train.dataset import Batch, Steps
from atpn.train.losses.detection import focal_loss, region_loss
from edge_runtime.detector import decode_detections
from edge_runtime.geometry import ROI

LOWEST_SCORE = 0.02
"""From which detections count for average precision."""
SPREAD = 0.06
"""Standard deviation of the target around a face's centre, in region sizes."""
LEAST_SPREAD = 0.7
"""The same in cells, for small faces."""
REGION_SHARE = 0.5
"""Cells whose target exceeds this learn the region too: the next cell may win on the device."""


class DetectionTask:
    """See `loop.StageTask`."""

    name = "detector"
    trained = FaceDetector.PARTS

    def __init__(self, store: SampleStore, recipe: Recipe, seed: int, validation: int = 400) -> None:
        self.store, self.recipe, self.seed = store, recipe, seed
        (self.faces, held_out), (self.backgrounds, held_out_backgrounds) = store.split(), store.split_backgrounds()
        self.validation = validation if len(held_out) and len(held_out_backgrounds) else 0
        self.held_out = (held_out, held_out_backgrounds)

    def begin(self, model: FaceDetector) -> None:
        """Pictures depend on the input size alone."""

    def batches(self, crop_size: int, first_step: int) -> DetectionBatches:
        """Pictures with their targets."""
        gatherings = Gatherings(self.store, self.faces, self.backgrounds, self.recipe.gatherings)
        return DetectionBatches(gatherings, self.recipe.batch_size, crop_size, self.seed, first_step)

    def loss(self, model: FaceDetector, image: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Focal loss of the centres and distance of the regions."""
        seen = model(image)
        centres = focal_loss(seen.logits, batch["centres"], batch["counted"])
        regions = region_loss(seen.regions, batch["regions"], batch["region_weight"])
        return centres + regions, {"centres": centres.detach(), "regions": regions.detach()}

    def validate(self, model: FaceDetector) -> dict[str, float]:
        """Average precision on pictures of people who are not trained on, and the found faces' overlap."""
        if not self.validation:
            return {}
        return detection_figures(model, held_out_pictures(self.store, *self.held_out, self.validation, model))


class DetectionBatches(Steps):
    """Pictures and, for every cell of the detector's grid, what it should say."""

    def __init__(self, gatherings: Gatherings, batch_size: int, size: int, seed: int, first_step: int = 0) -> None:
        super().__init__(seed, first_step)
        self.gatherings, self.batch_size = gatherings, batch_size
        self.config = DetectorConfig(input_size=size)

    def batch(self, step: int, rng: np.random.Generator) -> Batch:
        """`batch_size` new pictures."""
        made = [self.gatherings.make(self.config.input_size, rng) for _ in range(self.batch_size)]
        targets = [detection_targets(gathering, self.config.grid) for gathering in made]
        stacked = {key: torch.from_numpy(np.stack([target[key] for target in targets])) for key in targets[0]}
        return Batch(image=torch.from_numpy(np.stack([gathering.image for gathering in made])), **stacked)


def detection_targets(gathering: Gathering, grid: int) -> dict[str, np.ndarray]:
    """What each cell of a (G, G) grid should say, float32.

    `centres` is 1 in the cell of each wanted face's centre and falls off around it as a Gaussian; `counted` is 0 where
    a face that need not be found lies, whatever the answer there; `regions` (G, G, 3) is the face's that the cell is
    nearest to, and `region_weight` how much it matters there.
    """
    centres, counted = np.zeros((grid, grid), np.float32), np.ones((grid, grid), np.float32)
    regions, axis = np.zeros((grid, grid, 3), np.float32), np.arange(grid, dtype=np.float32)
    for region, wanted in zip(gathering.regions, gathering.wanted, strict=True):
        x, y, size = region * grid - (0.5, 0.5, 0.0)
        if not wanted:
            near = np.maximum(np.abs(axis[:, None] - y), np.abs(axis[None] - x)) <= max(size / 2, 1.0)
            counted[near & (centres == 0)] = 0
            continue
        column, row = (int(np.clip(round(float(v)), 0, grid - 1)) for v in (x, y))
        spread = max(SPREAD * float(size), LEAST_SPREAD)
        bump = np.exp(-((axis[:, None] - row) ** 2 + (axis[None] - column) ** 2) / (2 * spread**2))
        closer = bump > centres
        centres[closer] = bump[closer]
        counted[bump > 0.1] = 1
        regions[closer] = region
    return {
        "centres": centres,
        "counted": counted,
        "regions": regions,
        "region_weight": np.where(centres >= REGION_SHARE, centres, np.float32(0)),
    }


def held_out_pictures(
    store: SampleStore, faces: np.ndarray, backgrounds: np.ndarray, count: int, model: FaceDetector
) -> list[Gathering]:
    """The same pictures in every call, in the light that they were rendered in."""
    gatherings = Gatherings(store, faces, backgrounds, GatheringConfig(augment=NO_AUGMENT))
    return [gatherings.make(model.config.input_size, np.random.default_rng([0, i])) for i in range(count)]


@torch.no_grad()
def raw_detections(model: FaceDetector, pictures: np.ndarray, batch: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """(n, S, S, 3) uint8 RGB pictures to (n, G, G) scores and (n, G, G, 3) regions."""
    device, scores, regions = model.image_mean.device, [], []
    for start in range(0, len(pictures), batch):
        seen = model(torch.from_numpy(pictures[start : start + batch]).to(device).permute(0, 3, 1, 2).float())
        scores.append(seen.logits.sigmoid().cpu().numpy())
        regions.append(seen.regions.cpu().numpy())
    return np.concatenate(scores), np.concatenate(regions)


def detection_figures(model: FaceDetector, pictures: Sequence[Gathering]) -> dict[str, float]:
    """`figures_of` what a network finds."""
    raw = raw_detections(model, np.stack([picture.image for picture in pictures]))
    return figures_of([decode_detections(*each, threshold=LOWEST_SCORE) for each in zip(*raw, strict=True)], pictures)


def figures_of(found: Sequence[list[tuple[float, ROI]]], pictures: Sequence[Gathering]) -> dict[str, float]:
    """Average precision, the recall that any score can give, and the mean overlap of what is found.

    `found` are each picture's (score, region in [0, 1] of the side), best first.
    """
    scores, is_face, overlaps, missed = [], [], [], 0
    for picture, detections in zip(pictures, found, strict=True):
        faces = [ROI(*map(float, region)) for region in picture.regions]
        matches, unfound = match_detections(detections, faces, picture.wanted)
        missed += len(unfound)
        for (score, _), overlap in zip(detections, matches, strict=True):
            if overlap is not None:
                scores.append(score)
                is_face.append(overlap > 0)
                overlaps += [overlap] if overlap > 0 else []
    if not overlaps:
        return {"average_precision": 0.0, "recall": 0.0, "overlap": 0.0}
    recall = len(overlaps) / (len(overlaps) + missed)
    # Average precision counts recall among what was detected at all.
    precision = recall * average_precision(np.array(scores), np.array(is_face))
    return {"average_precision": precision, "recall": recall, "overlap": float(np.mean(overlaps))}
