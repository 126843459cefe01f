"""Metrics of a landmark file against its network, and their tolerances."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

import numpy as np

from atpn.evaluate import metrics
from atpn.evaluate.inference import Predictions
from edge_runtime.landmarks import LandmarkScheme, convert
from export.crop_set import CropSet
from export.evaluation import Tolerances
from export.expressions import ExpressionParity
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
            "expressions": 1e-3,
            "gaze": 1e-3,
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
            "relative_expression_mae_increase": 0.01,
            "gaze_error_increase": 0.1,
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
            "relative_expression_mae_increase": 0.05,
            "gaze_error_increase": 0.3,
        },
    }
)
"""Tolerances by precision, of metrics of `LandmarkParity`; other metrics have none."""


@dataclass(frozen=True)
class LandmarkErrors:
    """Landmark errors over the inter-ocular distance."""

    by_face: np.ndarray
    """(faces,) mean error of each face, ascending."""
    by_part: dict[str, float]
    nme: float
    """Mean error."""


@dataclass(frozen=True)
class LandmarkParity:
    """A file's outputs compared with its network's, on the same crops."""

    landmarks: float
    """Largest difference of any coordinate on faces, crop widths. What is no face has no landmarks."""
    landmarks_mean: float
    """Mean difference on faces, crop widths."""
    uncertainty: float
    """Largest difference, crop widths."""
    uncertainty_change: float
    """Mean difference on faces over the network's mean: single points may move more."""
    pose: float | None
    """Largest difference of any angle, radians; None, as for the next ones, for a file without heads."""
    confidence: float | None
    """Largest difference."""
    pose_error: float | None
    """The file's mean absolute pose error, degrees; its difference from the network's where no pose is labeled."""
    decision_flip_rate: float | None
    """Fraction of crops that change sides of the tracking threshold."""
    network_pose_error: float
    """The network's mean absolute pose error, degrees."""
    rendered: LandmarkErrors
    """On held-out renders, up to `MAX_YAW`."""
    network_rendered: LandmarkErrors
    real: LandmarkErrors | None = None
    """On real faces; None when they were not evaluated."""
    network_real: LandmarkErrors | None = None
    points: PointParity | None = None
    """Of a template or query points, if the file has any."""
    expressions: ExpressionParity | None = None
    """Of expressions and gaze, if the file has any."""

    def metrics(self) -> dict[str, float | None]:
        """Return all metrics by name; None for those of outputs or real faces that there are none of."""
        increase = None if self.pose_error is None else self.pose_error - self.network_pose_error
        found: dict[str, float | None] = {"pose_error_increase": increase}
        found |= {each.name: getattr(self, each.name) for each in fields(self) if str(each.type).startswith("float")}
        found |= dict.fromkeys(("real_nme", "network_real_nme", "real_relative_nme_increase"))
        for prefix, file, network in self.errors():
            found |= {f"{prefix}nme": file.nme, f"network_{prefix}nme": network.nme}
            found[f"{prefix}relative_nme_increase"] = file.nme / network.nme - 1.0
        for kind, part in ((PointParity, self.points), (ExpressionParity, self.expressions)):
            found |= {each.name: None if part is None else getattr(part, each.name) for each in fields(kind)}
        return found

    def errors(self) -> list[tuple[str, LandmarkErrors, LandmarkErrors]]:
        """Return a prefix of metrics, the file's errors, and the network's, on renders and on real faces if any."""
        pairs = ("", self.rendered, self.network_rendered), ("real_", self.real, self.network_real)
        return [(prefix, file, network) for prefix, file, network in pairs if file and network]

    def details(self) -> dict[str, dict[str, float]]:
        """Return errors by part of the face."""
        parts = {"by_part": self.rendered.by_part, "network_by_part": self.network_rendered.by_part}
        return parts | ({} if self.real is None else {"real_by_part": self.real.by_part})


def landmark_errors(landmarks: np.ndarray, scheme: LandmarkScheme, ground_truth: CropSet) -> LandmarkErrors:
    """Compute errors of (n, N, 2) landmarks of a scheme, in [0, 1] of the crop; the labels' scheme may differ."""
    # In profile the eye distance vanishes, and a few faces would be the whole mean. Photographs have no known yaw.
    facing = ground_truth.has_face & ~(np.abs(ground_truth.pose[:, 1]) > MAX_YAW)
    target = ground_truth.landmarks[facing]
    converted = convert(landmarks[facing], scheme, ground_truth.scheme)
    errors = metrics.point_errors(converted, target, ground_truth.scheme.inter_ocular(target))
    return LandmarkErrors(
        by_face=np.sort(errors.mean(axis=1)),
        by_part=metrics.per_part(errors, ground_truth.scheme),
        nme=float(errors.mean()),
    )


def compare(file: Predictions, network: Predictions, ground_truth: CropSet, threshold: float | None) -> LandmarkParity:
    """Compare predictions of a file and its network for labels of their scheme.

    From the confidence `threshold` on a crop counts as a face; None for a file without heads.
    """
    faces = ground_truth.has_face
    # Without a label, the network's pose is what a file should give.
    labeled_pose = np.where(np.isnan(ground_truth.pose), network.pose, ground_truth.pose)

    def pose_error(pose: np.ndarray) -> float:
        return float(metrics.pose_errors(pose[faces], labeled_pose[faces]).mean())

    def largest(name: str) -> float:
        return float(np.abs(getattr(file, name) - getattr(network, name)).max())

    landmarks = np.abs(file.landmarks - network.landmarks)
    if np.isfinite(landmarks).all():  # what is not must be seen, on any crop
        landmarks = landmarks[faces]
    # A network without uncertainty gives 0 everywhere.
    sigma_change = np.abs(file.uncertainty - network.uncertainty)[faces].mean()
    sigma_mean = max(float(network.uncertainty[faces].mean()), float(np.finfo(np.float32).tiny))
    return LandmarkParity(
        landmarks=float(landmarks.max()),
        landmarks_mean=float(landmarks.mean()),
        uncertainty=largest("uncertainty"),
        uncertainty_change=float(sigma_change) / sigma_mean,
        pose=None if threshold is None else largest("pose"),
        confidence=None if threshold is None else largest("confidence"),
        pose_error=None if threshold is None else pose_error(file.pose),
        decision_flip_rate=None
        if threshold is None
        else float(((file.confidence >= threshold) != (network.confidence >= threshold)).mean()),
        network_pose_error=pose_error(network.pose),
        rendered=landmark_errors(file.landmarks, ground_truth.scheme, ground_truth),
        network_rendered=landmark_errors(network.landmarks, ground_truth.scheme, ground_truth),
    )
