"""The record that every dataset reader and the renderer yield."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from edge_runtime.geometry import Intrinsics


@dataclass(frozen=True)
class Sample:
    """An image and at most one of its faces."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    landmarks: np.ndarray | None = None
    """(N, 2) float32 pixels, x right, y down, pixel centers at integers; NaN for one whose place nobody knows. None
    where the face's are not labeled, or there is no face: then `boxes` is empty too."""
    scheme: str = "wflw98"
    """Name of the landmarks' scheme."""
    visibility: np.ndarray | None = None
    """(N,) bool: the landmark is seen, neither turned away nor covered; None when unknown."""
    rotation: np.ndarray | None = None
    """(3, 3) head to camera (see `edge_runtime.face.Pose`); None when unknown."""
    intrinsics: Intrinsics | None = None
    """The camera that took the image; None when unknown."""
    dense: np.ndarray | None = None
    """(P, 2) float32 pixels of points all over the face, the same places on every face of a data set; None: unknown."""
    dense_visibility: np.ndarray | None = None
    """(P,) bool."""
    boxes: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    """Left, top, right, bottom in pixels by kind: "tight" around the landmarks, "detector" as a detector draws it."""
    neighbors: np.ndarray | None = None
    """(K, M, 2) float32 pixels around the other faces in the image: their landmarks, or the corners of their boxes
    where only those are labeled; None when there is none."""
    key: str = ""
    """Unique within its dataset."""
    attributes: dict[str, str] = field(default_factory=dict)
    """What the source knows besides: identity, skin, panorama …, for splits and breakdowns."""

    @property
    def outline(self) -> np.ndarray | None:
        """(M, 2) float32 points around the face: landmarks of known place, else a box's corners; None without."""
        if self.landmarks is not None and len(known := self.landmarks[~np.isnan(self.landmarks).any(axis=1)]) > 1:
            return known
        for left, top, right, bottom in self.boxes.values():
            return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
        return None
