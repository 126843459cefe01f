"""What the network sees in one crop, in frame pixels and the camera frame."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge_runtime.backends import Backend
from edge_runtime.gaze import turn_gaze
from edge_runtime.geometry import (
    ROI,
    Intrinsics,
    Rectangle,
    centered,
    crop_rotation,
    extract_crop,
    head_rotation,
    roll_against,
)
from edge_runtime.rotation import product
from edge_runtime.spec import ModelSpec
from edge_runtime.stats import TrackerStats

MIN_ROI_SIZE = 8.0
"""Minimum side of an ROI, pixels."""
MAX_ROI_FRACTION = 4.0
"""Maximum side of a detected ROI, longer sides of the frame. A face of which half is inside needs less."""
MIN_INSIDE_FRACTION = 0.5
"""Minimum fraction of the landmarks' rectangle inside the frame."""
EXTENT_LIMITS = (0.25, 1.25)
"""Limits of the landmarks' longer extent, as a fraction of the crop. The crop rule makes it 0.67."""
_RANGES = {
    "landmarks": (-10.0, 10.0),
    "uncertainty": (-0.0, 10.0),
    "pose": (-2 * math.pi, 2 * math.pi),
    "confidence": (-1e-3, 1.0 + 1e-3),
    "points": (-10.0, 10.0),
    "points_uncertainty": (-0.0, 10.0),
    "expressions": (-1e-3, 1.0 + 1e-3),
    "gaze": (-2 * math.pi, 2 * math.pi),
}
"""Ranges of the outputs: crop widths, radians, and what lies in [0, 1] with what rounding adds. A network that works
stays within; one that is broken may give anything. OpenCV counts -0 as less than 0, but -0 is no negative deviation."""
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
    expressions: np.ndarray | None = None
    """(52,) coefficients in [0, 1], in the order of `EXPRESSIONS`."""
    gaze: np.ndarray | None = None
    """(2, 2) yaw and pitch of the subject's left and right eye, radians, camera frame."""


@dataclass
class Observer:
    """Network that observes one face per crop."""

    backend: Backend
    spec: ModelSpec
    query_points: np.ndarray | None = None
    """(K, 2) points to find, for a model with query points."""
    stats: TrackerStats = field(default_factory=TrackerStats)
    """Counts its runs and their time."""

    def __post_init__(self) -> None:
        self._reference = centered(self.spec.mean_shape)

    def observe(self, frame: np.ndarray, roi: ROI, intrinsics: Intrinsics) -> Observation | None:
        """Run the network on an ROI of a BGR frame. Return None if a result is not possible or not plausible."""
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
        if not is_possible(outputs):
            return None
        landmarks, sigmas = roi.to_frame(outputs["landmarks"]), outputs["uncertainty"].astype(np.float64)
        roll = roll_against(landmarks, self._reference) if spec.upright else 0.0
        rectangle = Rectangle.around(landmarks, roll)
        if not is_plausible(rectangle, roi, (frame.shape[1], frame.shape[0])):
            return None
        next_roi = rectangle.squared(spec.crop_margin)
        to_camera = crop_rotation(roi, intrinsics)
        return Observation(
            roi=roi,
            landmarks=landmarks,
            uncertainty=sigmas * roi.size,
            rotation=np.array(product(to_camera, head_rotation(*outputs["pose"].tolist()))),
            confidence=min(max(float(outputs["confidence"][0]), 0.0), 1.0),
            mean_sigma=float(sigmas.sum()) / len(sigmas),
            next_roi=next_roi,
            direction=intrinsics.ray(next_roi.cx, next_roi.cy),
            points=roi.to_frame(outputs["points"]) if spec.points else None,
            points_uncertainty=outputs["points_uncertainty"].astype(np.float64) * roi.size if spec.points else None,
            expressions=_in_unit_interval(outputs["expressions"]) if spec.has_expressions else None,
            gaze=turn_gaze(outputs["gaze"], to_camera) if spec.has_expressions else None,
        )


def _in_unit_interval(values: np.ndarray) -> np.ndarray:
    # np.clip takes several times as long for so few numbers.
    return np.asarray(np.minimum(np.maximum(values.astype(np.float64), 0.0), 1.0))


def is_possible(outputs: Mapping[str, np.ndarray]) -> bool:
    """Return whether all outputs of a landmark model are finite and in their ranges, standard deviations not negative.

    One that is not makes all results of the crop worthless, so that no part of them is handed out.
    """
    # OpenCV takes a third of numpy's time for so few numbers.
    return all(
        cv2.checkRange(outputs[name], True, low, high)[0] for name, (low, high) in _RANGES.items() if name in outputs
    )


def may_hold_face(roi: ROI, frame_size: tuple[int, int]) -> bool:
    """Return whether a detector's ROI has a possible size and touches the frame."""
    width, height = frame_size
    return (
        MIN_ROI_SIZE <= roi.size <= MAX_ROI_FRACTION * max(frame_size)
        and -roi.size <= roi.cx <= width + roi.size
        and -roi.size <= roi.cy <= height + roi.size
    )


def is_plausible(rectangle: Rectangle, roi: ROI, frame_size: tuple[int, int]) -> bool:
    """Return whether size, aspect, and position of the landmarks' rectangle, found in crop `roi`, can be a face's."""
    shorter, longer = sorted((rectangle.width, rectangle.height))
    return (
        EXTENT_LIMITS[0] <= longer / roi.size <= EXTENT_LIMITS[1]
        and longer <= MAX_ASPECT * shorter
        and rectangle.fraction_inside(*frame_size) >= MIN_INSIDE_FRACTION
    )
