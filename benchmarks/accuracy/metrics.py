"""Metrics and curves of networks on the same faces, each with its standard error."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from atpn.evaluate import metrics
from atpn.evaluate.reports import CED_ERRORS
from atpn.evaluate.tracking import THRESHOLD
from benchmarks.accuracy.faces import DETECTOR_BOX, MAX_YAW, SETTLED, TRUE_BOX, FacePredictions, FaceSet
from benchmarks.results import Curve, Metric, mean_metric

YAW_EDGES = (0, 15, 30, 45, 60, 75, 90)
ANGLES = ("pitch", "yaw", "roll")
RESAMPLES = 50
"""Number of bootstrap samples for the standard error of an average precision."""


def compute_metrics(
    faces: FaceSet, predictions: Mapping[str, FacePredictions], references: Mapping[str, str]
) -> tuple[list[Metric], list[Curve]]:
    """Return metrics and curves of networks by name.

    `references` are the networks, by name, with which others are compared. A mean over no faces has no value. A column
    for which there are no labels is left out.
    """
    # Without labels of pose, the first network's yaw forms the bins.
    first = next(iter(predictions.values()))
    pose = np.where(np.isnan(faces.pose), first.pose, faces.pose)
    yaw = np.degrees(np.abs(pose[:, 1]))
    found: list[Metric] = []
    for row, predicted in predictions.items():
        by_yaw, subsets = partial(_yaw, yaw=yaw), partial(_subsets, yaw=yaw)
        for part in (_landmarks, _parts, by_yaw, subsets, _pose, _tracking):
            found += part(faces, row, predicted)
    for row, reference in references.items():
        found += _growth(faces, row, predictions[row], predictions[reference], f"against {reference}")
    boxes = (TRUE_BOX, DETECTOR_BOX)
    curves = [_ced(faces, box, row, predicted) for box in boxes for row, predicted in predictions.items()]
    return found, [curve for curve in curves if curve is not None]


def _landmarks(faces: FaceSet, row: str, predicted: FacePredictions) -> Iterator[Metric]:
    table = f"{faces.name}: landmarks"
    for box in (TRUE_BOX, SETTLED, DETECTOR_BOX):
        errors = _per_face(faces, predicted, box)
        yield mean_metric(table, row, f"NME, {box}", errors)
        yield mean_metric(table, row, f"FR10, {box}", 100.0 * (errors > 100 * metrics.FAILURE))
        # Each face contributes to the AUC the part of the threshold above its own error.
        areas = np.clip(1 - errors / (100 * metrics.FAILURE), 0, None)
        yield mean_metric(table, row, f"AUC10, {box}", areas, "", lower_is_better=False)
    means = [faces.errors(predicted.landmarks[box]).mean(axis=1) for box in (TRUE_BOX, DETECTOR_BOX)]
    true, detected = (each[faces.counted] for each in means)
    found = ~np.isnan(detected)
    growth = 100 * (detected - true)[found] / true[found].mean() if found.any() else []
    yield mean_metric(table, row, "NME growth by the detector box", growth)


def _parts(faces: FaceSet, row: str, predicted: FacePredictions) -> Iterator[Metric]:
    errors = faces.errors(predicted.landmarks[TRUE_BOX])[faces.counted]
    for part, indices in metrics.landmark_parts(faces.scheme).items():
        yield mean_metric(f"{faces.name}: NME by part", row, part, errors[:, indices].mean(axis=1))


def _yaw(faces: FaceSet, row: str, predicted: FacePredictions, yaw: np.ndarray) -> Iterator[Metric]:
    table = f"{faces.name}: error over the rectangle by yaw"
    errors = faces.rectangle_errors(predicted.landmarks[TRUE_BOX])
    for low, high in itertools.pairwise(YAW_EDGES):
        inside = (yaw >= low) & (yaw < high)
        if inside.any():
            yield mean_metric(table, row, f"{low}-{high}°", errors[inside])


def _subsets(faces: FaceSet, row: str, predicted: FacePredictions, yaw: np.ndarray) -> Iterator[Metric]:
    table = f"{faces.name}: NME of some faces and points"
    errors = faces.errors(predicted.landmarks[TRUE_BOX])
    for name, inside in faces.subsets(yaw).items():
        yield mean_metric(table, row, name, errors[inside].mean(axis=1))
        if name.endswith("eyes"):
            eyes = metrics.landmark_parts(faces.scheme)["eye"]
            yield mean_metric(table, row, f"{name}, their points", errors[inside][:, eyes].mean(axis=1))
    if faces.hidden is not None:
        for name, points in (("visible points", ~faces.hidden), ("hidden points", faces.hidden)):
            indices = np.flatnonzero(faces.counted & points.any(axis=1))
            yield mean_metric(table, row, name, [errors[i, points[i]].mean() for i in indices])


def _pose(faces: FaceSet, row: str, predicted: FacePredictions) -> Iterator[Metric]:
    table, errors = f"{faces.name}: pose", metrics.pose_errors(predicted.pose, faces.pose)
    known = faces.has_pose
    for inside, suffix in ((known & faces.counted, f", yaw up to {MAX_YAW}°"), (known, "")):
        if inside.any():
            yield mean_metric(table, row, f"MAE{suffix}", errors[inside].mean(axis=1), "°")
            for i, angle in enumerate(ANGLES):
                yield mean_metric(table, row, f"{angle}{suffix}", errors[inside, i], "°")


def _tracking(faces: FaceSet, row: str, predicted: FacePredictions) -> Iterator[Metric]:
    table = f"{faces.name}: face or background"
    confidence, is_face = predicted.confidence, faces.is_face
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(is_face), len(is_face)) for _ in range(RESAMPLES)]
    resampled = [metrics.average_precision(confidence[draw], is_face[draw]) for draw in draws if is_face[draw].any()]
    precision = 100 * metrics.average_precision(confidence, is_face)
    yield Metric(table, row, "AP", precision, "%", 100 * float(np.std(resampled)), lower_is_better=False)
    yield mean_metric(table, row, "missed", 100.0 * ~(confidence[is_face] >= THRESHOLD))
    yield mean_metric(table, row, "false alarms", 100.0 * (confidence[~is_face] >= THRESHOLD))


def _growth(
    faces: FaceSet, row: str, predicted: FacePredictions, reference: FacePredictions, title: str
) -> Iterator[Metric]:
    """Yield the increase of errors over the reference on the same crops, with the standard error of the differences."""
    table, counted = f"{faces.name}: {title}", faces.counted
    pair = (predicted, reference)
    ours, theirs = (faces.errors(each.landmarks[TRUE_BOX])[counted] for each in pair)
    all_points = list(range(faces.scheme.count))
    for name, indices in {"NME growth": all_points, **metrics.landmark_parts(faces.scheme)}.items():
        base = float(theirs[:, indices].mean())
        yield mean_metric(table, row, name, 100 * (ours - theirs)[:, indices].mean(axis=1) / base)
    if (inside := faces.has_pose & counted).any():
        poses = [metrics.pose_errors(each.pose, faces.pose)[inside].mean(axis=1) for each in pair]
        yield mean_metric(table, row, "pose growth", poses[0] - poses[1], "°")
    decisions = [each.confidence >= THRESHOLD for each in pair]
    flips = 100.0 * (decisions[0] != decisions[1])
    yield mean_metric(table, row, "decision flips at the tracking threshold", flips)


def _ced(faces: FaceSet, box: str, row: str, predicted: FacePredictions) -> Curve | None:
    """Return the curve of cumulative errors; None if no face was found."""
    errors = _per_face(faces, predicted, box)
    if not len(errors):
        return None
    fractions = 100 * metrics.cumulative_distribution(errors, 100 * CED_ERRORS)
    title, x_label = f"{faces.name}: cumulative error, {box}", "NME, % of the eye distance"
    return Curve(title, row, x_label, "faces, %", (100 * CED_ERRORS).tolist(), fractions.tolist())


def _per_face(faces: FaceSet, predicted: FacePredictions, box: str) -> np.ndarray:
    """Return (k,) errors in % of the eye distance, without faces that have no ROI."""
    errors = faces.errors(predicted.landmarks[box]).mean(axis=1)[faces.counted]
    return errors[~np.isnan(errors)]
