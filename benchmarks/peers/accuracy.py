"""Errors of several networks on AFW's real faces: same photographs and boxes, at each peer's best scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atpn.data.afw import Photo
from atpn.evaluate.metrics import failure_rate, point_errors
from benchmarks.peers.network import LandmarkNetwork, region_of
from benchmarks.results import Curve, Figure, mean_and_noise
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import IBUG_68

BOX_SCALES = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0)
"""Sides of the crop over that of the landmarks' squared rectangle, to choose a peer's best from."""
NO_JAW = tuple(range(17, 68))
TABLE = "AFW, true boxes"
MOST_ERROR = 15.0
"""Up to which errors are drawn, % of the eye distance."""


@dataclass(frozen=True)
class Accuracy:
    """One network on the photographs that nothing was chosen on."""

    name: str
    box_scale: float
    points: tuple[int, ...]
    """Which of iBUG's 68 it has; means go over these."""
    errors: np.ndarray
    """(faces, 68) % of the outer eye corners' distance, NaN for points that the network lacks."""

    @property
    def per_face(self) -> np.ndarray:
        """(faces,) mean errors, %."""
        return self.errors[:, self.points].mean(axis=1)

    def figures(self) -> list[Figure]:
        """For the table of AFW."""
        name, failed = self.name, 100 * failure_rate(self.per_face / 100)
        # Where labelling rules agree best: a surface's outline is not where annotators see a jaw.
        inner = self.errors[:, [point for point in self.points if point in NO_JAW]].mean(axis=1)
        nme, nme_without_jaw = mean_and_noise(self.per_face), mean_and_noise(inner)
        return [
            Figure(TABLE, name, "points", len(self.points), "", better=""),
            Figure(TABLE, name, "box", self.box_scale, "", better=""),
            Figure(TABLE, name, "NME", nme[0], "%", nme[1]),
            Figure(TABLE, name, "without the jaw", nme_without_jaw[0], "%", nme_without_jaw[1]),
            Figure(TABLE, name, "above 10 %", failed, "%", math.sqrt(failed * (100 - failed) / len(self.errors))),
        ]

    def curve(self) -> Curve:
        """Cumulative errors."""
        error = np.linspace(0, MOST_ERROR, 61)
        share = 100 * np.searchsorted(np.sort(self.per_face), error, side="right") / len(self.errors)
        axes = "NME, % of the eye distance", "faces, %"
        return Curve("AFW: cumulative error", self.name, *axes, error.tolist(), share.tolist())


def split(photos: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    """Every other photograph to choose boxes on, beginning with the first, and the rest to report."""
    return list(photos[::2]), list(photos[1::2])


def measure(network: LandmarkNetwork, choosing: Sequence[Photo], reported: Sequence[Photo]) -> Accuracy:
    """Choose the box scale with the least error on some photographs, unless it is fixed, and measure on the others."""
    scale = network.box_scale
    if not network.box_is_fixed:
        scale = min(BOX_SCALES, key=lambda s: float(_errors(network, choosing, s)[:, network.points].mean()))
    return Accuracy(network.name, scale, tuple(network.points), 100 * _errors(network, reported, scale))


def _errors(network: LandmarkNetwork, photos: Sequence[Photo], scale: float) -> np.ndarray:
    """(faces, 68) distances over the inter-ocular ones, NaN for points that the network lacks."""
    predicted, target = [], []
    for photo in photos:
        frame = np.ascontiguousarray(photo.image[:, :, ::-1])
        for face in photo.faces:
            region = region_of(ROI.from_landmarks(face, margin=0.0), scale)
            output = network.run(network.prepare(frame, region))
            predicted.append(network.to_ibug(network.decode(output, region)))
            target.append(face)
    truth = np.stack(target)
    return point_errors(np.stack(predicted), truth, IBUG_68.inter_ocular(truth))
