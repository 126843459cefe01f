"""Recall, precision, overlap, false alarms, and time on labeled pictures; recall by size and by roll."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from atpn.evaluate.matching import IGNORE_IOU, match_detections
from atpn.evaluate.metrics import average_precision
from benchmarks.detector.detectors import Scored, SearchResult
from benchmarks.detector.images import ImageSet, LabeledImage
from benchmarks.results import Curve, Metric, mean_metric, median_metric
from edge_runtime import ROI

ALONE, IN_LOOP = "detector alone", "in the loop"
MODES = (ALONE, IN_LOOP)
SIZES = (10.0, 15.0, 20.0, 30.0, 40.0, 80.0, np.inf)
"""Bin edges of the longer side of the landmarks' rectangle, pixels."""
LARGEST_SHOWN = 120.0
"""Where a chart shows the last bin, pixels."""
MIN_BINS_SHOWN = 3
"""Minimum number of sizes of a chart."""
LOOSE_IOU = 0.3
"""IoU that is enough for the tracking network to find the face."""
FALSE_ALARMS = (0.1, 0.3)
"""Numbers of false alarms per image at which recall is reported."""
RECALL_COLUMNS = tuple(f"recall at {most} false alarms" for most in FALSE_ALARMS)
RESAMPLES = 50
"""Number of bootstrap samples for the standard error of metrics over all scores."""


def rois_of(result: SearchResult, mode: str) -> list[ROI]:
    """Return the ROIs of a search: the detector's own, or by the crop rule at roll 0 around the loop's landmarks."""
    return list(result.rois) if mode == ALONE else [ROI.from_landmarks(face.landmarks) for face in result.faces]


def compute_metrics(
    subject: ImageSet, name: str, results: Sequence[SearchResult], first: Sequence[SearchResult], first_name: str
) -> Iterator[Metric]:
    """Yield what a detector finds, alone and in the loop, and recall by size; times are relative to `first`.

    A mean over no faces has no value. Where labels are incomplete, there are no false alarms, but detections without a
    label.
    """
    for mode in MODES:
        table = f"{subject.name}: faces found, {mode}"
        found = [rois_of(result, mode) for result in results]
        hits, overlaps = _hits(subject.images, found)
        loose, _ = _hits(subject.images, found, LOOSE_IOU)
        flat = np.array([overlap for image in overlaps for overlap in image], float)
        yield mean_metric(table, name, "recall", 100.0 * hits, lower_is_better=False)
        yield mean_metric(table, name, f"recall, IoU {LOOSE_IOU}", 100.0 * loose, lower_is_better=False)
        precision = "precision" if subject.complete else "labeled, of the detections"
        yield mean_metric(table, name, precision, 100.0 * (flat > 0), lower_is_better=False)
        yield mean_metric(table, name, "mean IoU", flat[flat > 0], "", lower_is_better=False)
        if subject.complete:
            alarms = [float(sum(overlap == 0 for overlap in image)) for image in overlaps]
            empty = [count for count, image in zip(alarms, subject.images, strict=True) if not image.landmarks]
            yield mean_metric(table, name, "false alarms per image", alarms, "")
            if empty:
                yield mean_metric(table, name, "false alarms per image without a face", empty, "")
        else:
            counts = [float(len(unlabeled(image, rois))) for image, rois in zip(subject.images, found, strict=True)]
            yield mean_metric(table, name, "not labeled per image", counts, "", lower_is_better=None)
        times, others = ([r.milliseconds[MODES.index(mode)] for r in each] for each in (results, first))
        yield median_metric(table, name, "time", times)
        yield median_metric(table, name, f"time over {first_name}'s", np.divide(times, others).tolist(), "")
        for column, _, values in _by_size(subject.images, hits):
            yield mean_metric(f"{subject.name}: recall by size, {mode}", name, column, 100.0 * values, "%", False)


def unlabeled(image: LabeledImage, rois: Sequence[ROI]) -> list[ROI]:
    """Return the detections that overlap no labeled face."""
    return [roi for roi in rois if all(roi.iou(face) < IGNORE_IOU for face in image.rois)]


def size_curves(subject: ImageSet, name: str, results: Sequence[SearchResult]) -> Iterator[Curve]:
    """Yield recall over face size in the loop, if the faces have several sizes."""
    bins = _by_size(subject.images, find_hits(subject.images, results, IN_LOOP))
    if len(bins) >= MIN_BINS_SHOWN:
        x, y = [center for _, center, _ in bins], [100.0 * float(values.mean()) for *_, values in bins]
        yield Curve(f"{subject.name}: recall by size, in the loop", name, "face size, px", "recall, %", x, y)


def compute_roll_metrics(table: str, name: str, hits: Mapping[int, np.ndarray]) -> tuple[list[Metric], Curve]:
    """Return recall by roll, and a curve of it; `hits` is whether each face was found, by degrees."""
    columns = {
        degrees: mean_metric(table, name, f"{degrees}°", 100.0 * each, "%", False) for degrees, each in hits.items()
    }
    shown = {degrees: metric.value for degrees, metric in columns.items() if metric.value is not None}
    curve = Curve(table, name, "roll, degrees clockwise", "recall, %", list(shown), list(shown.values()))
    return list(columns.values()), curve


def find_hits(images: Sequence[LabeledImage], results: Sequence[SearchResult], mode: str) -> np.ndarray:
    """Return (faces,) bool: whether each labeled face is found."""
    return _hits(images, [rois_of(result, mode) for result in results])[0]


def compute_ranking(subject: ImageSet, name: str, found: Sequence[Scored]) -> Iterator[Metric]:
    """Yield average precision, and recall at equal numbers of false alarms, of a detector's scores."""
    matched = []
    for image, pairs in zip(subject.images, found, strict=True):
        overlaps, _ = match_detections(pairs, image.rois, [True] * len(image.landmarks))
        matched.append(([(score, bool(iou)) for (score, _), iou in zip(pairs, overlaps, strict=True)], len(image.rois)))
    rng = np.random.default_rng(0)
    draws = [[matched[i] for i in rng.integers(0, len(matched), len(matched))] for _ in range(RESAMPLES)]
    errors = np.std([_summary(draw) for draw in draws], axis=0)
    table = f"{subject.name}: detections ranked by score, whole frames"
    for column, value, error in zip(("AP", *RECALL_COLUMNS), _summary(matched), errors, strict=True):
        yield Metric(table, name, column, 100 * value, "%", 100 * float(error), lower_is_better=False)


def _summary(matched: Sequence[tuple[Sequence[tuple[float, bool]], int]]) -> list[float]:
    """Return the average precision and the recall at each of `FALSE_ALARMS`.

    `matched` has, by image, (score, whether correct) of the detections, and the number of faces.
    """
    pairs = sorted((pair for image, _ in matched for pair in image), key=lambda pair: -pair[0])
    scores, correct = np.array([score for score, _ in pairs], float), np.array([hit for _, hit in pairs], bool)
    recall = correct.cumsum() / max(sum(faces for _, faces in matched), 1)
    per_image = (~correct).cumsum() / len(matched)
    # Average precision counts recall among the detected faces only.
    values = [float(recall[-1]) * average_precision(scores, correct) if correct.any() else 0.0]
    for most in FALSE_ALARMS:
        within = np.searchsorted(per_image, most, side="right")
        values.append(float(recall[within - 1]) if within else 0.0)
    return values


def _by_size(images: Sequence[LabeledImage], hits: np.ndarray) -> list[tuple[str, float, np.ndarray]]:
    """Return name, center, and `hits` of each bin of face sizes that has faces."""
    extents = np.array([extent for image in images for extent in image.extents])
    found = []
    for low, high in itertools.pairwise(SIZES):
        inside = (extents >= low) & (extents < high)
        if inside.any():
            last = high == np.inf
            column = f"from {low:.0f} px" if last else f"{low:.0f} to {high:.0f} px"
            found.append((column, LARGEST_SHOWN if last else (low + high) / 2, hits[inside]))
    return found


def _hits(
    images: Sequence[LabeledImage], found: Sequence[Sequence[ROI]], min_iou: float = 0.5
) -> tuple[np.ndarray, list[list[float]]]:
    """Return (faces,) bool: found faces; and each image's overlaps of detections, 0 for a false alarm."""
    hits: list[bool] = []
    overlaps = []
    for image, rois in zip(images, found, strict=True):
        faces = image.rois
        matches, missed = match_detections([(0.0, roi) for roi in rois], faces, [True] * len(faces), min_iou)
        hits += [i not in missed for i in range(len(faces))]
        overlaps.append([overlap or 0.0 for overlap in matches])
    return np.array(hits, bool), overlaps
