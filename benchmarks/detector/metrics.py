"""Recall, precision, overlap, false alarms, and time of one detector on one set of images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from atpn.evaluate.matching import match_detections
from atpn.evaluate.metrics import average_precision
from benchmarks.detector.detectors import Scored
from benchmarks.detector.images import LabeledImage
from benchmarks.results import Curve, Metric, mean_metric, median_metric

SIZES = (0.0, 0.05, 0.1, 0.2, 0.4, np.inf)
"""Bin edges of the faces' sizes over the frame's longer side."""
LOOSE_IOU = 0.3
"""IoU that is enough for the tracking network to find the face."""
FALSE_ALARMS = (0.1, 0.3)
"""Numbers of false alarms per image at which recall is reported."""
RECALL_COLUMNS = tuple(f"recall at {most} false alarms" for most in FALSE_ALARMS)
RESAMPLES = 50
"""Number of bootstrap samples for the standard error of metrics over all scores."""
MAX_ALARMS = 2.0
"""False alarms per image at which the curves end."""


@dataclass(frozen=True)
class Detections:
    """Detections of one detector."""

    name: str
    found: Sequence[Scored]
    """Detections by image."""
    milliseconds: Sequence[float]
    """Processor time of one thread by image."""
    threshold: float
    """Minimum score of a detection."""
    verified: bool = False


def compute_metrics(
    name: str, images: Sequence[LabeledImage], detections: Detections, first: Detections
) -> Iterator[Metric]:
    """Yield metrics for the images of set `name`. A mean over no faces has no value; times are relative to `first`."""
    row = detections.name
    table = f"{name}: faces found" + (", verified by the tracking network" if detections.verified else "")
    kept = [[pair for pair in pairs if pair[0] >= detections.threshold] for pairs in detections.found]
    hits, overlaps = _hits(images, kept)
    loose, _ = _hits(images, kept, LOOSE_IOU)
    flat = np.array([overlap for image in overlaps for overlap in image], float)
    alarms = [float(sum(overlap == 0 for overlap in image)) for image in overlaps]
    yield mean_metric(table, row, "recall", 100.0 * hits, lower_is_better=False)
    yield mean_metric(table, row, f"recall, IoU {LOOSE_IOU}", 100.0 * loose, lower_is_better=False)
    yield mean_metric(table, row, "precision", 100.0 * (flat > 0), lower_is_better=False)
    yield mean_metric(table, row, "mean IoU", flat[flat > 0], "", lower_is_better=False)
    yield mean_metric(table, row, "false alarms per image", alarms, "")
    empty = [count for count, image in zip(alarms, images, strict=True) if not image.faces]
    if empty:
        yield mean_metric(table, row, "false alarms per image without a face", empty, "")
    matched = _match(images, detections.found)
    for column, value, error in zip(("AP", *RECALL_COLUMNS), _summary(matched), _std_errors(matched), strict=True):
        yield Metric(table, row, column, 100 * value, "%", 100 * error, lower_is_better=False)
    yield median_metric(table, row, "time", detections.milliseconds)
    ratios = np.divide(detections.milliseconds, first.milliseconds).tolist()
    yield median_metric(table, row, f"time over {first.name}'s", ratios, "")
    sizes = np.array([s for i in images for s, required in zip(i.size_fractions, i.required, strict=True) if required])
    for low, high in itertools.pairwise(SIZES):
        inside = (sizes >= low) & (sizes < high)
        if inside.any():
            column = f"from {100 * low:.0f} %" if high == np.inf else f"{100 * low:.0f} to {100 * high:.0f} %"
            yield mean_metric(f"{table}, recall by size", row, column, 100.0 * hits[inside], lower_is_better=False)


def compute_curve(name: str, images: Sequence[LabeledImage], detections: Detections) -> Curve:
    """Return recall against false alarms as the threshold decreases."""
    recall, per_image = ranking(_match(images, detections.found))
    title = f"{name}: recall at false alarms" + (", verified" if detections.verified else "")
    shown = per_image <= MAX_ALARMS
    x, y = per_image[shown].tolist(), (100 * recall[shown]).tolist()
    return Curve(title, detections.name, "false alarms per image", "recall, %", x, y)


@dataclass(frozen=True)
class ImageMatches:
    """Counted detections of one image."""

    scores: Sequence[float]
    correct: Sequence[bool]
    faces: int
    """Number of faces to be found."""


def _match(images: Sequence[LabeledImage], found: Sequence[Scored]) -> list[ImageMatches]:
    matched = []
    for image, pairs in zip(images, found, strict=True):
        overlaps, _ = match_detections(pairs, image.faces, image.required)
        counted = [(score, iou > 0) for (score, _), iou in zip(pairs, overlaps, strict=True) if iou is not None]
        scores, correct = [score for score, _ in counted], [each for _, each in counted]
        matched.append(ImageMatches(scores, correct, sum(image.required)))
    return matched


def ranking(matched: Sequence[ImageMatches]) -> tuple[np.ndarray, np.ndarray]:
    """Return recall and false alarms per image after each detection, best first."""
    scores, hits = _joined(matched)
    hits = hits[np.argsort(-scores, kind="stable")]
    return hits.cumsum() / max(sum(each.faces for each in matched), 1), (~hits).cumsum() / len(matched)


def _joined(matched: Sequence[ImageMatches]) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of all images, and whether each detection is correct."""
    scores = np.array([score for each in matched for score in each.scores], float)
    return scores, np.array([correct for each in matched for correct in each.correct], bool)


def _summary(matched: Sequence[ImageMatches]) -> list[float]:
    """Return the average precision and the recall at each of `FALSE_ALARMS`."""
    recall, per_image = ranking(matched)
    scores, hits = _joined(matched)
    # Average precision counts recall among the detected faces only.
    values = [float(recall[-1]) * average_precision(scores, hits) if hits.any() else 0.0]
    for most in FALSE_ALARMS:
        within = np.searchsorted(per_image, most, side="right")
        values.append(float(recall[within - 1]) if within else 0.0)
    return values


def _std_errors(matched: Sequence[ImageMatches]) -> list[float]:
    """Return standard errors of `_summary` by resampling the images."""
    rng = np.random.default_rng(0)
    draws = [[matched[i] for i in rng.integers(0, len(matched), len(matched))] for _ in range(RESAMPLES)]
    return [float(error) for error in np.std([_summary(draw) for draw in draws], axis=0)]


def _hits(
    images: Sequence[LabeledImage], found: Sequence[Scored], min_iou: float = 0.5
) -> tuple[np.ndarray, list[list[float]]]:
    """Return (faces,) bool: found required faces; and each image's overlaps of detections, 0 for a false alarm."""
    hits: list[bool] = []
    overlaps = []
    for image, pairs in zip(images, found, strict=True):
        matches, missed = match_detections(pairs, image.faces, image.required, min_iou)
        hits += [i not in missed for i, required in enumerate(image.required) if required]
        overlaps.append([overlap for overlap in matches if overlap is not None])
    return np.array(hits, bool), overlaps
