"""Results of the tracker: `Face`, its `Pose` and `TrackState`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from edge_runtime.expression import openings
from edge_runtime.geometry import ROI, angles_to_matrix, matrix_to_angles
from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.template import Template

_ROI_DIGITS = {"cx": 3, "cy": 3, "size": 3, "roll": 6}


class TrackState(StrEnum):
    """State of a face in the tracking loop."""

    DETECTED = "detected"
    """Found by the detector in this frame."""
    TRACKED = "tracked"
    """Tracked from the previous frame's landmarks, without a detector."""


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Face:
    """One face in one frame. Its arrays are the caller's own.

    Faces compare by identity: two results are equal only if they are the same object. Compare ids to follow a face.
    """

    id: int
    """Constant while the face is tracked; see `FaceTracker`."""
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
    """(M, 2) points of the template in pixels of the frame; None without a template."""
    points_uncertainty: np.ndarray | None = None
    """(M,) standard deviation of each point in pixels of the frame."""
    scheme: LandmarkScheme | None = None
    """Names, groups, and edges of the landmarks; None if they follow no known scheme."""
    template: Template | None = None
    """Names, groups, and edges of `points`."""
    expressions: Mapping[str, float] | None = None
    """Expression coefficients in [0, 1] by ARKit's names, less the resting face's after
    `FaceTracker.calibrate_neutral`; None if the model gives none."""
    gaze: np.ndarray | None = None
    """(2, 2) yaw and pitch of each eye in radians, camera frame, subject's left eye first; None if the model gives
    none."""

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """(x, y, width, height) of the landmarks' upright rectangle, pixels of the frame."""
        x, y = self.landmarks.min(axis=0).tolist()
        right, bottom = self.landmarks.max(axis=0).tolist()
        return x, y, right - x, bottom - y

    @property
    def openings(self) -> dict[str, float]:
        """Openness in [0, 1] of `left_eye` and `right_eye` (the image's) and `mouth`, as far as the scheme has them."""
        return {} if self.scheme is None else openings(self.landmarks, self.scheme)

    def to_dict(self) -> dict[str, Any]:
        """Return the face as JSON types: units as here, `pose` as `angles` and row-major `matrix`.

        What is None is left out, and so are scheme and template.
        """
        record: dict[str, Any] = {
            "id": self.id,
            "state": self.state.value,
            "confidence": round(self.confidence, 5),
            "age": self.age,
            "roi": {name: round(getattr(self.roi, name), digits) for name, digits in _ROI_DIGITS.items()},
            "bbox": [round(value, 3) for value in self.bbox],
            "pose": {
                "angles": dict(zip(("pitch", "yaw", "roll"), (round(a, 6) for a in self.pose.angles), strict=True)),
                "matrix": np.round(self.pose.matrix, 6).tolist(),
            },
            "direction": np.round(self.direction, 6).tolist(),
            "openings": {name: round(value, 4) for name, value in self.openings.items()},
            "landmarks": np.round(self.landmarks, 3).tolist(),
            "uncertainty": np.round(self.uncertainty, 4).tolist(),
        }
        if self.points is not None and self.points_uncertainty is not None:
            record["points"] = np.round(self.points, 3).tolist()
            record["points_uncertainty"] = np.round(self.points_uncertainty, 4).tolist()
        if self.expressions is not None:
            record["expressions"] = {name: round(value, 4) for name, value in self.expressions.items()}
        if self.gaze is not None:
            record["gaze"] = np.round(self.gaze, 4).tolist()
        return record
