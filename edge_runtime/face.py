"""Results of the tracker: `Face`, its `Pose` and `TrackState`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from edge_runtime.geometry import ROI, angles_to_matrix, matrix_to_angles


class TrackState(StrEnum):
    """State of a face in the tracking loop."""

    DETECTED = "detected"
    """Found by the detector in this frame."""
    TRACKED = "tracked"
    """Tracked from the previous frame's landmarks, without a detector."""


@dataclass(frozen=True)
class Pose:
    """Head orientation in the camera frame (x right, y down, z forward, away from the camera).

    The head frame equals the camera frame when the head faces the camera upright, so `matrix` is then the identity.
    `matrix` maps head coordinates to camera coordinates. Angles are intrinsic rotations about the head's own axes,
    first yaw (y), then pitch (x), then roll (z): matrix = Ry(-yaw) @ Rx(-pitch) @ Rz(roll).

    Signs: pitch > 0 looks up; yaw > 0 turns to the subject's left (the image's right); roll > 0 tilts the head
    clockwise as seen in the image (toward the subject's left shoulder).
    """

    matrix: np.ndarray
    """(3, 3) rotation, head to camera."""

    @property
    def angles(self) -> tuple[float, float, float]:
        """(pitch, yaw, roll) in radians."""
        pitch, yaw, roll = matrix_to_angles(self.matrix)
        return float(pitch), float(yaw), float(roll)

    @staticmethod
    def from_angles(pitch: float, yaw: float, roll: float) -> Pose:
        """Return the pose of these angles in radians."""
        return Pose(angles_to_matrix(np.array([pitch, yaw, roll])))


@dataclass(frozen=True)
class Face:
    """One face in one frame."""

    id: int
    """Constant while the face is tracked; a tracker never reuses it for another face."""
    state: TrackState
    landmarks: np.ndarray
    """(N, 2) pixels of the frame, x right, y down, pixel centers at integers; smoothed if smoothing is on."""
    uncertainty: np.ndarray
    """(N,) standard deviation of each landmark in pixels of the frame."""
    pose: Pose
    confidence: float
    """Probability in [0, 1] that the crop holds a face."""
    roi: ROI
    """Input crop of the network."""
    direction: np.ndarray
    """(3,) unit vector from the camera to the center of the face, camera frame."""
    age: int
    """Frames since this face was detected; 0 in the frame of its detection."""
    points: np.ndarray | None = None
    """(M, 2) points of the tracker's template in pixels of the frame; None without a template."""
    points_uncertainty: np.ndarray | None = None
    """(M,) standard deviation of each point in pixels of the frame."""
