"""Labels of a face set, prepared once for all networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atpn.evaluate import metrics
from atpn.evaluate.reports import CLOSED_EYES
from benchmarks.accuracy.faces import FacePredictions, FaceSet
from edge_runtime.landmarks import LandmarkScheme

MAX_YAW = 60
"""Yaw in degrees beyond which the eye distance vanishes; such faces count only for errors over the rectangle."""
FACING_YAW = 30
"""Yaw in degrees within which a head hides few of its own landmarks, so that hidden ones mean an occluder."""
MIN_OCCLUSION = 0.3
"""Fraction of hidden landmarks from which such a face counts as occluded."""


@dataclass(frozen=True)
class GroundTruth:
    """Labels of n faces."""

    name: str
    scheme: LandmarkScheme
    landmarks: np.ndarray
    """(n, N, 2) pixels."""
    pose: np.ndarray
    """(n, 3) radians in the frame of the labels' ROI; NaN where unknown."""
    yaw: np.ndarray
    """(n,) absolute yaw in degrees; the reference network's where the labels have none."""
    hidden: np.ndarray | None
    """(n, N) bool: landmarks that are not visible; None if the labels have no visibility."""
    is_face: np.ndarray
    """(m,) bool: whether the tracking crops contain a face."""

    @staticmethod
    def of(faces: FaceSet, reference: FacePredictions) -> GroundTruth:
        """Collect the labels of a face set."""
        pose = faces.pose
        yaw = np.degrees(np.abs(np.where(np.isnan(pose), reference.pose, pose)[:, 1]))
        return GroundTruth(faces.name, faces.scheme, faces.landmarks, pose, yaw, faces.hidden, faces.tracking[1])

    @property
    def has_pose(self) -> np.ndarray:
        """(n,) bool: faces with known pose."""
        return ~np.isnan(self.pose).any(axis=1)

    @property
    def counted(self) -> np.ndarray:
        """(n,) bool: faces whose error over the eye distance is meaningful."""
        return ~self.has_pose | (self.yaw <= MAX_YAW)

    def errors(self, landmarks: np.ndarray) -> np.ndarray:
        """Return (n, N) errors in % of the eye distance; NaN where there is no landmark."""
        return 100 * metrics.point_errors(landmarks, self.landmarks, self.scheme.inter_ocular(self.landmarks))

    def rectangle_errors(self, landmarks: np.ndarray) -> np.ndarray:
        """Return (n,) mean errors in % of the longer side of the face's rectangle."""
        sizes = metrics.rectangle_size(self.landmarks)
        return 100 * metrics.point_errors(landmarks, self.landmarks, sizes).mean(axis=1)

    def subsets(self) -> dict[str, np.ndarray]:
        """Return subsets of the faces as (n,) bool, as far as the labels allow."""
        groups = {}
        if self.scheme.name in metrics.OPENINGS:
            opening = metrics.openings(self.landmarks, self.scheme, "eyes") / self.scheme.inter_ocular(self.landmarks)
            groups |= {"closed eyes": (opening < CLOSED_EYES) & self.counted}
            groups |= {"open eyes": (opening >= CLOSED_EYES) & self.counted}
        if self.hidden is not None:
            occluded, facing = self.hidden.mean(axis=1) >= MIN_OCCLUSION, self.yaw <= FACING_YAW
            groups |= {"occluded": occluded & facing, "unoccluded": ~occluded & facing}
        return groups
