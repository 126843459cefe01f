"""What a set's labels say about its faces, worked out once for all networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atpn.evaluate import metrics
from atpn.evaluate.reports import CLOSED_EYES
from benchmarks.accuracy.faces import FaceSet, Measured
from edge_runtime.landmarks import LandmarkScheme

MOST_YAW = 60
"""Degrees beyond which the eye distance vanishes: such faces count where errors are over the rectangle."""
FACING_YAW = 30
"""Degrees within which a head hides few of its own landmarks, so that hidden ones tell of something before it."""
COVERED = 0.3
"""Share of its landmarks from which such a face counts as covered."""


@dataclass(frozen=True)
class Truth:
    """Labels of n faces."""

    name: str
    scheme: LandmarkScheme
    landmarks: np.ndarray
    """(n, N, 2) pixels."""
    pose: np.ndarray
    """(n, 3) radians in the frame of the labels' region; NaN where unknown."""
    yaw: np.ndarray
    """(n,) degrees without sign; where the labels know none, as the reference network sees it."""
    hidden: np.ndarray | None
    """(n, N) bool; None for labels that do not tell."""
    is_face: np.ndarray
    """(m,) of the tracking crops."""

    @staticmethod
    def of(faces: FaceSet, reference: Measured) -> Truth:
        """Gather a set's labels."""
        pose = faces.pose
        yaw = np.where(np.isnan(pose), reference.pose, pose)[:, 1]
        return Truth(
            faces.name,
            faces.scheme,
            faces.landmarks,
            pose,
            np.degrees(np.abs(yaw)),
            faces.hidden,
            faces.tracking[1],
        )

    @property
    def posed(self) -> np.ndarray:
        """(n,) faces whose pose is known."""
        return ~np.isnan(self.pose).any(axis=1)

    @property
    def counted(self) -> np.ndarray:
        """(n,) faces whose error over the eye distance means something, as far as the labels tell."""
        return ~self.posed | (self.yaw <= MOST_YAW)

    def errors(self, landmarks: np.ndarray) -> np.ndarray:
        """(n, N) % of the eye distance; NaN where there is no landmark."""
        return 100 * metrics.point_errors(landmarks, self.landmarks, self.scheme.inter_ocular(self.landmarks))

    def errors_of_rectangle(self, landmarks: np.ndarray) -> np.ndarray:
        """(n,) % of the longer side of the face's rectangle."""
        return 100 * metrics.point_errors(landmarks, self.landmarks, metrics.rectangle_size(self.landmarks)).mean(
            axis=1
        )

    def subsets(self) -> dict[str, np.ndarray]:
        """Groups of faces as (n,) bool, those that the labels can tell."""
        groups = {}
        if self.scheme.name in metrics.OPENINGS:
            opening = metrics.openings(self.landmarks, self.scheme, "eyes") / self.scheme.inter_ocular(self.landmarks)
            groups |= {"closed eyes": (opening < CLOSED_EYES) & self.counted}
            groups |= {"open eyes": (opening >= CLOSED_EYES) & self.counted}
        if self.hidden is not None:
            covered, facing = self.hidden.mean(axis=1) >= COVERED, self.yaw <= FACING_YAW
            groups |= {"covered": covered & facing, "uncovered": ~covered & facing}
        return groups
