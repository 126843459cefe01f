"""What the network sees in one crop, in frame pixels and the camera frame."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge_runtime.backends import Backend
from edge_runtime.geometry import (
    ROI,
    Intrinsics,
    Rectangle,
    angles_to_matrix,
    crop_to_camera,
    extract_crop,
    upright_roll,
)
from edge_runtime.spec import ModelSpec
from edge_runtime.stats import TrackerStats

MIN_ROI_SIZE = 8.0
"""Minimum side of an ROI, pixels."""
MIN_INSIDE_FRACTION = 0.5
"""Minimum fraction of the landmarks' rectangle inside the frame."""
EXTENT_LIMITS = (0.25, 1.25)
"""Limits of the landmarks' longer extent, as a fraction of the crop. The crop rule makes it 0.67."""
MAX_ASPECT = 3.0
"""Maximum aspect ratio of the landmarks; a profile with an open mouth stays below 2.5."""


@dataclass(frozen=True, eq=False)
class Observation:
    """The network's results for one crop, in frame pixels and the camera frame."""

    roi: ROI
    landmarks: np.ndarray
    uncertainty: np.ndarray
    rotation: np.ndarray
    confidence: float
    mean_sigma: float
    """Mean standard deviation of the landmarks, crop widths."""
    next_roi: ROI
    """Crop around these landmarks."""
    direction: np.ndarray
    points: np.ndarray | None = None
    points_uncertainty: np.ndarray | None = None


@dataclass
class Observer:
    """Network that observes one face per crop."""

    backend: Backend
    spec: ModelSpec
    query_points: np.ndarray | None = None
    """(K, 2) points to find, for a model with query points."""
    stats: TrackerStats = field(default_factory=TrackerStats)
    """Counts its runs and their time."""

    def observe(self, frame: np.ndarray, roi: ROI, intrinsics: Intrinsics) -> Observation | None:
        """Run the network on an ROI of a BGR frame. Return None if a result is not finite or not plausible."""
        spec = self.spec
        if roi.size < MIN_ROI_SIZE:
            return None
        start = time.perf_counter()
        crop = cv2.cvtColor(extract_crop(frame, roi, spec.input_size), cv2.COLOR_BGR2RGB)
        cropped = time.perf_counter()
        outputs = self.backend.run(crop, self.query_points)
        self.stats.seconds["crop"] += cropped - start
        self.stats.seconds["network"] += time.perf_counter() - cropped
        self.stats.network_runs += 1
        landmarks, uncertainty = roi.to_frame(outputs["landmarks"]), outputs["uncertainty"]
        confidence, mean_sigma = float(outputs["confidence"][0]), float(uncertainty.sum()) / len(uncertainty)
        numbers = confidence, mean_sigma, *outputs["pose"].tolist()
        if not (all(map(math.isfinite, numbers)) and cv2.checkRange(landmarks)[0]):
            return None
        roll = upright_roll(landmarks, spec.mean_shape) if spec.upright else 0.0
        rectangle = Rectangle.around(landmarks, roll)
        if not is_plausible(rectangle, roi, (frame.shape[1], frame.shape[0])):
            return None
        next_roi = rectangle.squared(spec.crop_margin)
        return Observation(
            roi=roi,
            landmarks=landmarks,
            uncertainty=uncertainty.astype(np.float64) * roi.size,
            rotation=crop_to_camera(roi, intrinsics) @ angles_to_matrix(outputs["pose"]),
            confidence=confidence,
            mean_sigma=mean_sigma,
            next_roi=next_roi,
            direction=intrinsics.ray(next_roi.cx, next_roi.cy),
            points=roi.to_frame(outputs["points"].astype(np.float64)) if spec.points else None,
            points_uncertainty=outputs["points_uncertainty"].astype(np.float64) * roi.size if spec.points else None,
        )


def is_plausible(rectangle: Rectangle, roi: ROI, frame_size: tuple[int, int]) -> bool:
    """Return whether size, aspect, and position of the landmarks' rectangle, found in crop `roi`, can be a face's."""
    shorter, longer = sorted((rectangle.width, rectangle.height))
    return (
        EXTENT_LIMITS[0] <= longer / roi.size <= EXTENT_LIMITS[1]
        and longer <= MAX_ASPECT * shorter
        and rectangle.fraction_inside(*frame_size) >= MIN_INSIDE_FRACTION
    )
