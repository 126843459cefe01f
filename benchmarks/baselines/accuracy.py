"""Errors of several networks on real faces: the same photographs and boxes, at each baseline's best scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atpn.data.afw import Photo
from atpn.evaluate.label_adapter import adapt
from atpn.evaluate.metrics import failure_rate, point_errors
from benchmarks.baselines.network import LandmarkNetwork, scaled
from benchmarks.results import Curve, Metric, mean_metric
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import IBUG_68

BOX_SCALES = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0)
"""Candidate sides of the crop over that of the landmarks' squared rectangle."""
NO_JAW = tuple(range(17, 68))
TABLE = "AFW, true boxes"
MAX_ERROR = 15.0
"""Largest error of the curve, % of the eye distance."""


@dataclass(frozen=True)
class Accuracy:
    """Errors of one network on the photographs that its box was not chosen on."""

    name: str
    box_scale: float
    points: tuple[int, ...]
    """Indices of iBUG's 68 points that the network predicts, over which means are taken."""
    errors: np.ndarray
    """(faces, 68) % of the outer eye corners' distance, NaN for missing points."""
    adapted: np.ndarray
    """(faces,) mean errors, %, after `label_adapter.adapt`."""

    @property
    def per_face(self) -> np.ndarray:
        """(faces,) mean errors, %."""
        return self.errors[:, self.points].mean(axis=1)

    def metrics(self) -> list[Metric]:
        """Return the metrics for the table of AFW."""
        name, failed = self.name, 100 * failure_rate(self.per_face / 100)
        # Without the jaw, labeling rules agree best: a surface's outline is not where annotators see a jaw.
        inner = self.errors[:, [point for point in self.points if point in NO_JAW]].mean(axis=1)
        return [
            Metric(TABLE, name, "points", len(self.points), "", lower_is_better=None),
            Metric(TABLE, name, "box", self.box_scale, "", lower_is_better=None),
            mean_metric(TABLE, name, "NME", self.per_face),
            mean_metric(TABLE, name, "without the jaw", inner),
            mean_metric(TABLE, name, "adapted", self.adapted),
            Metric(TABLE, name, "above 10 %", failed, "%", math.sqrt(failed * (100 - failed) / len(self.errors))),
        ]

    def curve(self) -> Curve:
        """Return the curve of cumulative errors."""
        error = np.linspace(0, MAX_ERROR, 61)
        fraction = 100 * np.searchsorted(np.sort(self.per_face), error, side="right") / len(self.errors)
        axes = "NME, % of the eye distance", "faces, %"
        return Curve("AFW: cumulative error", self.name, *axes, error.tolist(), fraction.tolist())


def split(photos: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    """Return the photographs to choose boxes on, every other one from the first, and those to report."""
    return list(photos[::2]), list(photos[1::2])


def evaluate(network: LandmarkNetwork, selection: Sequence[Photo], reported: Sequence[Photo]) -> Accuracy:
    """Choose the best box scale on `selection`, unless it is fixed, and evaluate on `reported`."""
    scale, points = network.box_scale, list(network.points)
    if not network.box_is_fixed:
        scale = min(
            BOX_SCALES, key=lambda s: float(_errors(_predict(network, selection, s), selection)[:, points].mean())
        )
    predicted = _predict(network, reported, scale)
    target = np.stack([face for photo in reported for face in photo.faces])
    photographs = np.repeat(np.arange(len(reported)), [len(photo.faces) for photo in reported])
    adapted = adapt(predicted[:, points], target[:, points], photographs)
    adapted_errors = point_errors(adapted, target[:, points], IBUG_68.inter_ocular(target)).mean(axis=1)
    errors = 100 * _errors(predicted, reported)
    return Accuracy(network.name, scale, tuple(points), errors, 100 * adapted_errors)


def locate(network: LandmarkNetwork, frame: np.ndarray, box: ROI) -> np.ndarray:
    """Return the network's own (N, 2) landmarks in a frame, given the network's crop."""
    return network.decode(network.run(network.prepare(frame, box)), box)


def _predict(network: LandmarkNetwork, photos: Sequence[Photo], scale: float) -> np.ndarray:
    """Return (faces, 68) landmarks in pixels, NaN for missing points."""
    predictions = []
    for photo in photos:
        frame = np.ascontiguousarray(photo.image[:, :, ::-1])
        boxes = [scaled(ROI.from_landmarks(face, margin=0.0), scale) for face in photo.faces]
        predictions += [network.to_ibug(locate(network, frame, box)) for box in boxes]
    return np.stack(predictions)


def _errors(predicted: np.ndarray, photos: Sequence[Photo]) -> np.ndarray:
    """Return (faces, 68) distances over the inter-ocular ones, NaN for missing points."""
    target = np.stack([face for photo in photos for face in photo.faces])
    return point_errors(predicted, target, IBUG_68.inter_ocular(target))
