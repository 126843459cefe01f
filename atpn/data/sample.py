"""The record that every dataset reader and the renderer yield."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from edge_runtime.geometry import Intrinsics
from edge_runtime.landmarks import WFLW_98, LandmarkScheme


@dataclass(frozen=True)
class Sample:
    """An image and at most one of its faces."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    landmarks: np.ndarray | None = None
    """(N, 2) float32 pixels, x right, y down, pixel centers at integers; NaN if unknown. None without landmark
    labels."""
    scheme: LandmarkScheme | None = WFLW_98
    """Landmark scheme; None for points of no scheme, for evaluation only."""
    visibility: np.ndarray | None = None
    """(N,) bool: neither turned away nor covered; None if unknown."""
    rotation: np.ndarray | None = None
    """(3, 3) head to camera (see `edge_runtime.face.Pose`); None if unknown."""
    intrinsics: Intrinsics | None = None
    """The camera; None if unknown."""
    expressions: np.ndarray | None = None
    """(52,) float32 ARKit coefficients in [0, 1], see `edge_runtime.expressions`; None if unknown."""
    gaze: np.ndarray | None = None
    """(2, 2) float32 yaw and pitch, radians, of the subject's left and right eye in the camera frame (see
    `edge_runtime.gaze`); None if unknown."""
    dense: np.ndarray | None = None
    """(P, 2) float32 pixels of dense points, the same places on every face of a dataset; None if unknown."""
    dense_visibility: np.ndarray | None = None
    """(P,) bool."""
    boxes: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    """Left, top, right, bottom in pixels by kind: "tight" around the landmarks, "detector" as a detector draws it."""
    neighbors: np.ndarray | None = None
    """(K, M, 2) float32 pixels around the other faces: their landmarks, or else the corners of their boxes; None
    without any."""
    key: str = ""
    """Unique within its dataset."""
    attributes: dict[str, str] = field(default_factory=dict)
    """Other data by name, such as identity, skin, split, subsets."""

    @property
    def outline(self) -> np.ndarray | None:
        """(M, 2) float32 points around the face: landmarks of known place, else a box's corners; None without."""
        if self.landmarks is not None and len(known := self.landmarks[~np.isnan(self.landmarks).any(axis=1)]) > 1:
            return known
        for left, top, right, bottom in self.boxes.values():
            return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
        return None
