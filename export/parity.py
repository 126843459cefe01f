"""Does a file say what the network says? Measured on held-out renders and, when they are there, on real faces."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from types import MappingProxyType

import numpy as np

from atpn.evaluate import metrics
from atpn.evaluate.inference import Predictions
from edge_runtime.landmarks import LandmarkScheme, convert
from export.crop_set import CropSet
from export.formats import Predictor
from export.points import PointParity

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
    real_nme_growth: float | None = None
    """The same on real faces, when they were measured."""
    pose_growth: float | None = None
    """Growth of the mean pose error, degrees."""
    flips: float | None = None
    """Share of crops that change sides of the tracking threshold."""
    points: float | None = None
    """Largest difference of any coordinate of a template's points or of prompts, crop widths."""
    points_uncertainty: float | None = None
    """Largest difference, crop widths."""
    points_over_landmarks: float | None = None
    """Mean distance from the network's points over that of the landmarks, whose error's growth is bounded."""
    points_uncertainty_change: float | None = None
    """As `uncertainty_change`."""


_INT8 = Bounds(
    uncertainty_change=0.1,
    nme_growth=0.04,
    real_nme_growth=0.04,
    pose_growth=0.3,
    flips=0.01,
    points_over_landmarks=1.5,
    points_uncertainty_change=0.1,
)
BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        # Rounding only: 1e-4 of a crop is a hundredth of a pixel.
        "fp32": Bounds(
            landmarks=1e-4, uncertainty=1e-4, pose=1e-3, confidence=1e-3, points=1e-4, points_uncertainty=1e-4
        ),
        "fp16": Bounds(
            landmarks=2e-3,
            uncertainty_change=0.02,
            nme_growth=0.01,
            real_nme_growth=0.01,
            pose_growth=0.1,
            flips=0.01,
            points=2e-3,
            points_uncertainty_change=0.02,
        ),
        # A loss that the eye does not see in an overlay and One-Euro smooths away.
        "int8": _INT8,
    }
)
"""By precision."""
MOST_TRANSPOSES = 2


@dataclass(frozen=True)
class Errors:
    """Landmark errors over the inter-ocular distance, the file's beside the network's."""

    faces: int
    nme: float
    network_nme: float
    by_part: dict[str, float]
    network_by_part: dict[str, float]
    sorted: np.ndarray
    """(faces,) the file's error of each face, ascending: its cumulative distribution."""
    network_sorted: np.ndarray

    @property
    def growth(self) -> float:
        """Growth of the mean error, as a share of the network's."""
        return self.nme / self.network_nme - 1.0


@dataclass(frozen=True)
class Parity:
    """A file against the network, on the same crops."""

    landmarks: float
    """Largest difference, crop widths."""
    landmarks_mean: float
    """Mean difference, crop widths."""
    uncertainty: float
    """Largest difference, crop widths."""
    pose: float
    """Largest difference, radians; 0 for a file without heads."""
    confidence: float
    """Largest difference; 0 for a file without heads."""
    uncertainty_change: float
    """Mean difference on faces, as a share of the network's own mean: single points may move more."""
    pose_error: float
    """The file's mean absolute pose error, degrees."""
    network_pose_error: float
    """The network's."""
    flips: float
    """Share of crops that change sides of the tracking threshold."""
    rendered: Errors
    """On held-out renders, up to `MAX_YAW`."""
    real: Errors | None = field(default=None)
    """On real faces."""
    points: PointParity | None = None
    """Of a template or of prompts, if the file has any."""

    @property
    def nme_growth(self) -> float:
        """Growth of the landmark error on renders, as a share of the network's."""
        return self.rendered.growth

    @property
    def real_nme_growth(self) -> float | None:
        """Growth of the landmark error on real faces, None when they were not measured."""
        return None if self.real is None else self.real.growth

    @property
    def pose_growth(self) -> float:
        """Growth of the pose error, degrees."""
        return self.pose_error - self.network_pose_error

    def figures(self) -> dict[str, float]:
        """All that bounds speak of, and what is needed to judge it; real faces when they were measured."""
        names = ["landmarks", "landmarks_mean", "uncertainty", "pose", "confidence", "uncertainty_change"]
        names += ["pose_error", "network_pose_error", "pose_growth", "flips", "nme_growth"]
        found = {name: float(getattr(self, name)) for name in names}
        found |= {"nme": self.rendered.nme, "network_nme": self.rendered.network_nme}
        if self.real is not None:
            found |= {"real_nme": self.real.nme, "network_real_nme": self.real.network_nme}
            found["real_nme_growth"] = self.real.growth
        return found | ({} if self.points is None else self.points.figures())

    def problems(self, precision: str) -> list[str]:
        """What is out of the precision's bounds, and by how much."""
        return self.violations(BOUNDS[precision])

    def violations(self, bounds: Bounds) -> list[str]:
        """What is out of bounds and by how much; empty when all is well. What is not a finite number always is."""
        figures = self.figures()
        found = [f"{name} {value}, allowed finite numbers" for name, value in figures.items() if not isfinite(value)]
        for name, bound in asdict(bounds).items():
            if bound is not None and figures.get(name, 0.0) > bound:
                found.append(f"{name} {figures[name]:.3g}, allowed {bound:g}")
        return found


def without_heads(results: Predictions) -> Predictions:
    """Results as a file without heads gives them."""
    return results._replace(pose=np.zeros_like(results.pose), confidence=np.zeros_like(results.confidence))


def landmark_errors(file: np.ndarray, network: np.ndarray, scheme: LandmarkScheme, truth: CropSet) -> Errors:
    """Errors of (n, N, 2) crop coordinates of a scheme on the crops of `truth`, in its own scheme."""
    # In profile the eye distance vanishes, and a few faces would be the whole mean. Photographs have no known yaw.
    facing = truth.has_face & ~(np.abs(truth.pose[:, 1]) > MAX_YAW)
    target = truth.landmarks[facing]
    size = truth.scheme.inter_ocular(target)
    points = [
        metrics.point_errors(convert(shape[facing], scheme, truth.scheme), target, size) for shape in (file, network)
    ]
    return Errors(
        faces=int(facing.sum()),
        nme=float(points[0].mean()),
        network_nme=float(points[1].mean()),
        by_part=metrics.per_part(points[0], truth.scheme),
        network_by_part=metrics.per_part(points[1], truth.scheme),
        sorted=np.sort(points[0].mean(axis=1)),
        network_sorted=np.sort(points[1].mean(axis=1)),
    )


def compare(
    file: Predictions, network: Predictions, truth: CropSet, threshold: float, scheme: LandmarkScheme | None = None
) -> Parity:
    """Differences of two sets of results for the crops of `truth`, and their errors where it has a face.

    `scheme` is that of the results, `truth`'s own by default.
    """
    faces = truth.has_face

    def pose_error(pose: np.ndarray) -> float:
        return float(np.nanmean(metrics.pose_errors(pose[faces], truth.pose[faces])))

    def largest(name: str) -> float:
        return float(np.abs(getattr(file, name) - getattr(network, name)).max())

    # A network without uncertainty says 0 everywhere.
    sigma_change = np.abs(file.uncertainty - network.uncertainty)[faces].mean()
    sigma_mean = max(float(network.uncertainty[faces].mean()), float(np.finfo(np.float32).tiny))
    return Parity(
        landmarks=largest("landmarks"),
        landmarks_mean=float(np.abs(file.landmarks - network.landmarks).mean()),
        uncertainty=largest("uncertainty"),
        pose=largest("pose"),
        confidence=largest("confidence"),
        uncertainty_change=float(sigma_change) / sigma_mean,
        pose_error=pose_error(file.pose),
        network_pose_error=pose_error(network.pose),
        flips=float(((file.confidence >= threshold) != (network.confidence >= threshold)).mean()),
        rendered=landmark_errors(file.landmarks, network.landmarks, scheme or truth.scheme, truth),
    )


def median_milliseconds(predictor: Predictor, crop: np.ndarray, runs: int = TIMED_RUNS) -> float:
    """Median time of one crop through the file, warmed up, on this machine."""
    for _ in range(10):
        predictor(crop)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        predictor(crop)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3
