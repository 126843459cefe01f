"""Metrics of a landmark file against its network, and their tolerances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType

import numpy as np

from atpn.evaluate import metrics
from atpn.evaluate.inference import Predictions
from edge_runtime.landmarks import LandmarkScheme, convert
from export.crop_set import CropSet
from export.evaluation import Tolerances
from export.points import PointParity

MAX_YAW = math.radians(60)
"""Faces turned further count for pose and confidence, not for the landmark error over the eye distance."""
TOLERANCES: Mapping[str, Tolerances] = MappingProxyType(
    {
        # Rounding only: 1e-4 of a crop is a hundredth of a pixel.
        "fp32": {
            "landmarks": 1e-4,
            "uncertainty": 1e-4,
            "pose": 1e-3,
            "confidence": 1e-3,
            "points": 1e-4,
            "points_uncertainty": 1e-4,
        },
        "fp16": {
            "landmarks": 2e-3,
            "uncertainty_change": 0.02,
            "relative_nme_increase": 0.01,
            "real_relative_nme_increase": 0.01,
            "pose_error_increase": 0.1,
            "decision_flip_rate": 0.01,
            "points": 2e-3,
            "points_uncertainty_change": 0.02,
        },
        # A loss that the eye does not see in an overlay and One-Euro smooths away.
        "int8": {
            "uncertainty_change": 0.1,
            "relative_nme_increase": 0.04,
            "real_relative_nme_increase": 0.04,
            "pose_error_increase": 0.3,
            "decision_flip_rate": 0.01,
            "points_over_landmarks": 1.5,
            "points_uncertainty_change": 0.1,
        },
    }
)
"""Tolerances by precision, of metrics of `LandmarkParity`; other metrics have none."""


@dataclass(frozen=True)
class LandmarkErrors:
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
    def relative_increase(self) -> float:
        """Increase of the mean error, relative to the network's."""
        return self.nme / self.network_nme - 1.0


@dataclass(frozen=True)
class LandmarkParity:
    """A file's outputs compared with its network's, on the same crops."""

    landmarks: float
    """Largest difference of any coordinate, crop widths."""
    landmarks_mean: float
    """Mean difference, crop widths."""
    uncertainty: float
    """Largest difference, crop widths."""
    pose: float
    """Largest difference of any angle, radians; 0 for a file without heads."""
    confidence: float
    """Largest difference; 0 for a file without heads."""
    uncertainty_change: float
    """Mean difference on faces over the network's mean: single points may move more."""
    pose_error: float
    """The file's mean absolute pose error, degrees."""
    network_pose_error: float
    """The network's."""
    decision_flip_rate: float
    """Fraction of crops that change sides of the tracking threshold."""
    rendered: LandmarkErrors
    """On held-out renders, up to `MAX_YAW`."""
    real: LandmarkErrors | None = None
    """On real faces; None when they were not evaluated."""
    points: PointParity | None = None
    """Of a template or query points, if the file has any."""

    def metrics(self) -> dict[str, float]:
        """Return all metrics by name; those of real faces and of points where there are any."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        found = {name: value for name, value in values.items() if isinstance(value, float)}
        found["pose_error_increase"] = self.pose_error - self.network_pose_error
        found |= {"nme": self.rendered.nme, "network_nme": self.rendered.network_nme}
        found["relative_nme_increase"] = self.rendered.relative_increase
        if self.real is not None:
            found |= {"real_nme": self.real.nme, "network_real_nme": self.real.network_nme}
            found["real_relative_nme_increase"] = self.real.relative_increase
        return found | ({} if self.points is None else asdict(self.points))

    def details(self) -> dict[str, dict[str, float]]:
        """Return errors by part of the face."""
        parts = {"by_part": self.rendered.by_part, "network_by_part": self.rendered.network_by_part}
        return parts | ({} if self.real is None else {"real_by_part": self.real.by_part})


def without_heads(predictions: Predictions) -> Predictions:
    """Return predictions as a file without heads gives them."""
    return predictions._replace(pose=np.zeros_like(predictions.pose), confidence=np.zeros_like(predictions.confidence))


def landmark_errors(
    file: np.ndarray, network: np.ndarray, scheme: LandmarkScheme, ground_truth: CropSet
) -> LandmarkErrors:
    """Compute landmark errors of a file and its network.

    Args:
        file: (n, N, 2) landmarks of the file in [0, 1] of the crop.
        network: (n, N, 2) landmarks of the network.
        scheme: Their scheme.
        ground_truth: The crops and labels, in a scheme of their own.
    """
    # In profile the eye distance vanishes, and a few faces would be the whole mean. Photographs have no known yaw.
    facing = ground_truth.has_face & ~(np.abs(ground_truth.pose[:, 1]) > MAX_YAW)
    target = ground_truth.landmarks[facing]
    size = ground_truth.scheme.inter_ocular(target)
    errors, network_errors = (
        metrics.point_errors(convert(shape[facing], scheme, ground_truth.scheme), target, size)
        for shape in (file, network)
    )
    return LandmarkErrors(
        faces=int(facing.sum()),
        nme=float(errors.mean()),
        network_nme=float(network_errors.mean()),
        by_part=metrics.per_part(errors, ground_truth.scheme),
        network_by_part=metrics.per_part(network_errors, ground_truth.scheme),
        sorted=np.sort(errors.mean(axis=1)),
        network_sorted=np.sort(network_errors.mean(axis=1)),
    )


def compare(file: Predictions, network: Predictions, ground_truth: CropSet, threshold: float) -> LandmarkParity:
    """Compare predictions of a file and its network.

    Args:
        file: Predictions of the file.
        network: Predictions of the network.
        ground_truth: The crops and labels, in the predictions' scheme.
        threshold: Confidence from which a crop counts as a face.
    """
    faces = ground_truth.has_face

    def pose_error(pose: np.ndarray) -> float:
        return float(np.nanmean(metrics.pose_errors(pose[faces], ground_truth.pose[faces])))

    def largest(name: str) -> float:
        return float(np.abs(getattr(file, name) - getattr(network, name)).max())

    # A network without uncertainty gives 0 everywhere.
    sigma_change = np.abs(file.uncertainty - network.uncertainty)[faces].mean()
    sigma_mean = max(float(network.uncertainty[faces].mean()), float(np.finfo(np.float32).tiny))
    return LandmarkParity(
        landmarks=largest("landmarks"),
        landmarks_mean=float(np.abs(file.landmarks - network.landmarks).mean()),
        uncertainty=largest("uncertainty"),
        pose=largest("pose"),
        confidence=largest("confidence"),
        uncertainty_change=float(sigma_change) / sigma_mean,
        pose_error=pose_error(file.pose),
        network_pose_error=pose_error(network.pose),
        decision_flip_rate=float(((file.confidence >= threshold) != (network.confidence >= threshold)).mean()),
        rendered=landmark_errors(file.landmarks, network.landmarks, ground_truth.scheme, ground_truth),
    )
