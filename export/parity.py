"""Does a file say what the network says? Measured on held-out crops, through the runtime that ships."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from types import MappingProxyType

import numpy as np

from atpn.train import metrics
from atpn.train.inference import Predictions
from edge_runtime.backends import Backend
from export.crop_set import CropSet

TIMED_RUNS = 100
MAX_YAW = math.radians(60)
"""Faces turned further count for pose and confidence, not for the landmark error over the eye distance."""


@dataclass(frozen=True)
class Bounds:
    """How far a file may stray from the network before it is refused. None: not bounded."""

    landmarks: float | None = None
    """Largest difference of any coordinate, crop widths."""
    uncertainty: float | None = None
    """Largest difference, crop widths."""
    pose: float | None = None
    """Largest difference of any angle, radians."""
    confidence: float | None = None
    """Largest difference."""
    uncertainty_change: float | None = None
    """Mean difference on faces, as a share of the network's own mean."""
    nme_growth: float | None = None
    """Growth of the mean landmark error, as a share of the network's own."""
    pose_growth: float | None = None
    """Growth of the mean pose error, degrees."""
    flips: float | None = None
    """Share of crops that change sides of the tracking threshold."""


BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        # Rounding only: 1e-4 of a crop is a hundredth of a pixel.
        "float32": Bounds(landmarks=1e-4, uncertainty=1e-4, pose=1e-3, confidence=1e-3),
        "float16": Bounds(uncertainty_change=0.02, nme_growth=0.01, pose_growth=0.1, flips=0.01),
        # A loss that the eye does not see in an overlay and One-Euro smooths away.
        "int8": Bounds(uncertainty_change=0.1, nme_growth=0.04, pose_growth=0.3, flips=0.01),
    }
)
"""By precision."""


@dataclass(frozen=True)
class Parity:
    """A file against the network, on the same crops."""

    landmarks: float
    """Largest difference, crop widths."""
    uncertainty: float
    """Largest difference, crop widths."""
    pose: float
    """Largest difference, radians."""
    confidence: float
    """Largest difference."""
    uncertainty_change: float
    """Mean difference on faces, as a share of the network's own mean: single points may move more."""
    nme: float
    """The file's mean landmark error over the inter-ocular distance, up to `MAX_YAW`."""
    network_nme: float
    """The network's."""
    pose_error: float
    """The file's mean absolute pose error, degrees."""
    network_pose_error: float
    """The network's."""
    flips: float
    """Share of crops that change sides of the tracking threshold."""

    @property
    def nme_growth(self) -> float:
        """Growth of the landmark error, as a share of the network's."""
        return self.nme / self.network_nme - 1.0

    @property
    def pose_growth(self) -> float:
        """Growth of the pose error, degrees."""
        return self.pose_error - self.network_pose_error

    def violations(self, bounds: Bounds) -> list[str]:
        """What is out of bounds and by how much; empty when all is well. What is not a finite number always is."""
        found = [
            f"{name} {value}, allowed finite numbers" for name, value in asdict(self).items() if not isfinite(value)
        ]
        for name, bound in asdict(bounds).items():
            value = getattr(self, name)
            if bound is not None and value > bound:
                found.append(f"{name} {value:.3g}, allowed {bound:g}")
        return found


def run_file(backend: Backend, crops: np.ndarray) -> Predictions:
    """A file's results for (n, S, S, 3) uint8 crops; confidence as (n,), as the network gives it."""
    rows = [backend.run(crop) for crop in crops]
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return Predictions(
        stacked["landmarks"], stacked["uncertainty"], stacked["pose"], stacked["confidence"].reshape(len(rows))
    )


def compare(file: Predictions, network: Predictions, truth: CropSet, threshold: float) -> Parity:
    """Differences of two sets of results for the crops of `truth`, and their errors where it has a face."""
    faces = truth.has_face
    # In profile the eye distance vanishes, and a few faces would be the whole mean.
    facing = faces & (np.abs(truth.pose[:, 1]) <= MAX_YAW)

    def nme(landmarks: np.ndarray) -> float:
        size = truth.scheme.inter_ocular(truth.landmarks[facing])
        return float(metrics.point_errors(landmarks[facing], truth.landmarks[facing], size).mean())

    def pose_error(pose: np.ndarray) -> float:
        return float(np.nanmean(metrics.pose_errors(pose[faces], truth.pose[faces])))

    def largest(name: str) -> float:
        return float(np.abs(getattr(file, name) - getattr(network, name)).max())

    # A network without uncertainty says 0 everywhere.
    sigma_change = np.abs(file.uncertainty - network.uncertainty)[faces].mean()
    sigma_mean = max(float(network.uncertainty[faces].mean()), float(np.finfo(np.float32).tiny))
    return Parity(
        landmarks=largest("landmarks"),
        uncertainty=largest("uncertainty"),
        pose=largest("pose"),
        confidence=largest("confidence"),
        uncertainty_change=float(sigma_change) / sigma_mean,
        nme=nme(file.landmarks),
        network_nme=nme(network.landmarks),
        pose_error=pose_error(file.pose),
        network_pose_error=pose_error(network.pose),
        flips=float(((file.confidence >= threshold) != (network.confidence >= threshold)).mean()),
    )


def median_milliseconds(backend: Backend, crop: np.ndarray, runs: int = TIMED_RUNS) -> float:
    """Median time of one crop through the file, warmed up, on this machine."""
    for _ in range(10):
        backend.run(crop)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        backend.run(crop)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3
