"""Figures and curves of networks on the same faces, each with the noise of so few faces."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from atpn.evaluate import metrics
from atpn.evaluate.reports import CED_ERRORS
from atpn.evaluate.tracking import THRESHOLD
from benchmarks.accuracy.faces import DETECTOR_BOX, SETTLED, TRUE_BOX, FaceSet, Measured
from benchmarks.accuracy.truth import MOST_YAW, Truth
from benchmarks.results import Curve, Figure, mean_and_noise

YAW_EDGES = (0, 15, 30, 45, 60, 75, 90)
ANGLES = ("pitch", "yaw", "roll")
RESAMPLES = 50
"""Bootstrap samples for the noise of an average precision."""


def figures_of(faces: FaceSet, measured: Mapping[str, Measured]) -> tuple[list[Figure], list[Curve]]:
    """All that is known of networks by name; the first is the reference of the others.

    A mean over no faces is left without a value, and a column that the labels know nothing about is left out.
    """
    reference, *others = measured
    truth = Truth.of(faces, measured[reference])
    figures: list[Figure] = []
    for row, made in measured.items():
        for part in (_landmarks, _parts, _yaw, _subsets, _pose, _tracking):
            figures += part(truth, row, made)
    for row in others:
        figures += _growth(truth, row, measured[row], measured[reference], f"against {reference}")
    boxes = (TRUE_BOX, DETECTOR_BOX)
    curves = [_ced(truth, box, row, made) for box in boxes for row, made in measured.items()]
    return figures, [curve for curve in curves if curve is not None]


def _landmarks(truth: Truth, row: str, made: Measured) -> Iterator[Figure]:
    table = f"{truth.name}: landmarks"
    for box in (TRUE_BOX, SETTLED, DETECTOR_BOX):
        errors = _per_face(truth, made, box)
        yield _mean(table, row, f"NME, {box}", errors)
        yield _mean(table, row, f"FR10, {box}", 100.0 * (errors > 100 * metrics.FAILURE))
        # A face adds to the area under the cumulative errors what its own error leaves of the threshold.
        yield _mean(table, row, f"AUC10, {box}", np.clip(1 - errors / (100 * metrics.FAILURE), 0, None), "", "more")
    given, found = (truth.errors(made.landmarks[box]).mean(axis=1)[truth.counted] for box in (TRUE_BOX, DETECTOR_BOX))
    held = ~np.isnan(found)
    growth = 100 * (found - given)[held] / given[held].mean() if held.any() else []
    yield _mean(table, row, "NME growth by the detector box", growth)


def _parts(truth: Truth, row: str, made: Measured) -> Iterator[Figure]:
    errors = truth.errors(made.landmarks[TRUE_BOX])[truth.counted]
    for part, indices in metrics.landmark_parts(truth.scheme).items():
        yield _mean(f"{truth.name}: NME by part", row, part, errors[:, indices].mean(axis=1))


def _yaw(truth: Truth, row: str, made: Measured) -> Iterator[Figure]:
    errors = truth.errors_of_rectangle(made.landmarks[TRUE_BOX])
    for low, high in itertools.pairwise(YAW_EDGES):
        inside = (truth.yaw >= low) & (truth.yaw < high)
        if inside.any():
            yield _mean(f"{truth.name}: error over the rectangle by yaw", row, f"{low}-{high}°", errors[inside])


def _subsets(truth: Truth, row: str, made: Measured) -> Iterator[Figure]:
    table, errors = f"{truth.name}: NME of some faces and points", truth.errors(made.landmarks[TRUE_BOX])
    eyes = metrics.landmark_parts(truth.scheme).get("eye", [])
    for name, inside in truth.subsets().items():
        yield _mean(table, row, name, errors[inside].mean(axis=1))
        if name.endswith("eyes"):
            yield _mean(table, row, f"{name}, their points", errors[inside][:, eyes].mean(axis=1))
    if truth.hidden is not None:
        for name, points in (("seen points", ~truth.hidden), ("hidden points", truth.hidden)):
            chosen = truth.counted & points.any(axis=1)
            yield _mean(table, row, name, [errors[i, points[i]].mean() for i in np.flatnonzero(chosen)])


def _pose(truth: Truth, row: str, made: Measured) -> Iterator[Figure]:
    table, errors = f"{truth.name}: pose", metrics.pose_errors(made.pose, truth.pose)
    for inside, suffix in ((truth.posed & truth.counted, f", yaw up to {MOST_YAW}°"), (truth.posed, "")):
        if inside.any():
            yield _mean(table, row, f"MAE{suffix}", errors[inside].mean(axis=1), "°")
            for i, angle in enumerate(ANGLES):
                yield _mean(table, row, f"{angle}{suffix}", errors[inside, i], "°")


def _tracking(truth: Truth, row: str, made: Measured) -> Iterator[Figure]:
    table, confidence, is_face = f"{truth.name}: face or background", made.confidence, truth.is_face
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(is_face), len(is_face)) for _ in range(RESAMPLES)]
    noise = np.std(
        [metrics.average_precision(confidence[draw], is_face[draw]) for draw in draws if is_face[draw].any()]
    )
    precision = metrics.average_precision(confidence, is_face)
    yield Figure(table, row, "AP", 100 * precision, "%", 100 * float(noise), "more")
    yield _mean(table, row, "missed", 100.0 * (confidence[is_face] < THRESHOLD))
    yield _mean(table, row, "false alarms", 100.0 * (confidence[~is_face] >= THRESHOLD))


def _growth(truth: Truth, row: str, made: Measured, reference: Measured, title: str) -> Iterator[Figure]:
    """How much more a network errs than the reference on the same crops; the noise is that of the faces' differences,
    which is far less than that of either error."""
    table = f"{truth.name}: {title}"
    ours, theirs = (truth.errors(each.landmarks[TRUE_BOX])[truth.counted] for each in (made, reference))
    every = list(range(truth.scheme.count))
    for name, indices in {"NME growth": every, **metrics.landmark_parts(truth.scheme)}.items():
        base = float(theirs[:, indices].mean())
        yield _mean(table, row, name, 100 * (ours - theirs)[:, indices].mean(axis=1) / base)
    if (inside := truth.posed & truth.counted).any():
        poses = [metrics.pose_errors(each.pose, truth.pose)[inside].mean(axis=1) for each in (made, reference)]
        yield _mean(table, row, "pose growth", poses[0] - poses[1], "°")
    sides = [each.confidence >= THRESHOLD for each in (made, reference)]
    yield _mean(table, row, "changed sides of the tracking threshold", 100.0 * (sides[0] != sides[1]))


def _ced(truth: Truth, box: str, row: str, made: Measured) -> Curve | None:
    """None where no face was found."""
    errors = _per_face(truth, made, box)
    if not len(errors):
        return None
    shares = 100 * metrics.cumulative_distribution(errors, 100 * CED_ERRORS)
    title, x_label = f"{truth.name}: cumulative error, {box}", "NME, % of the eye distance"
    return Curve(title, row, x_label, "faces, %", (100 * CED_ERRORS).tolist(), shares.tolist())


def _per_face(truth: Truth, made: Measured, box: str) -> np.ndarray:
    """(k,) % of the eye distance, faces without a region left out."""
    errors = truth.errors(made.landmarks[box]).mean(axis=1)[truth.counted]
    return errors[~np.isnan(errors)]


def _mean(
    table: str,
    row: str,
    column: str,
    values: np.ndarray | list[float],
    unit: str = "%",
    better: Literal["less", "more"] = "less",
) -> Figure:
    value, noise = mean_and_noise(values)
    return Figure(table, row, column, value, unit, noise, better)
