"""Tracking loop: detect a face once, then track it by cropping around its own landmarks (thesis, section 3.2)."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.backends import Backend, load_backend
from edge_runtime.detector import Detector, default_detector
from edge_runtime.errors import TemplateError, require
from edge_runtime.face import Face, Pose, TrackState
from edge_runtime.frames import as_bgr
from edge_runtime.geometry import (
    ROI,
    Intrinsics,
    Rectangle,
    angles_to_matrix,
    crop_to_camera,
    extract_crop,
    upright_roll,
)
from edge_runtime.identity import LostTrack, LostTrackBuffer, same_face
from edge_runtime.motion import RoiMotion
from edge_runtime.recommendation import recommended
from edge_runtime.smoothing import OneEuroPoints, OneEuroRotation
from edge_runtime.spec import ModelSpec
from edge_runtime.template import Template

DETECTION_INTERVAL = 5
"""Minimum number of frames between two runs of the detector. Raise it for less load, lower it to find faces sooner. The
detector also runs in the first frame, after `reset`, and when a long-tracked face is lost."""
DETECTION_INTERVAL_TRACKED = 15
"""The same while a face is tracked, none was lost recently, and `max_faces` is not reached."""
MAX_CANDIDATES = 3
"""Maximum number of detections that the network checks per run of the detector; `max_faces` if that is larger."""
DUPLICATE_IOU_THRESHOLD = 0.4
"""IoU with a tracked face's ROI from which a detection is discarded as that face."""
REFINEMENTS = 2
"""Number of further crops after a detection, each from the previous landmarks. A detector's box is inexact and has no
roll."""
RESIDUAL_DECAY = 0.9
"""Decay per frame of a track's peak motion residual. Raise it to remember a jump longer when duplicates are removed."""
TRACKED_UNCERTAINTY_FACTOR = 1.7
"""Uncertainty threshold of a tracked face relative to a new one's: motion blur raises the uncertainty."""
MAX_LOW_CONFIDENCE_FRAMES = 5
"""Consecutive frames below the tracking threshold, or above the uncertainty threshold, after which a face is lost.
Raise it to bridge longer occlusions."""
MIN_ROI_SIZE = 8.0
"""Minimum side of an ROI, pixels."""
MIN_INSIDE_FRACTION = 0.5
"""Minimum fraction of the landmarks' rectangle inside the frame."""
EXTENT_LIMITS = (0.25, 1.25)
"""Limits of the landmarks' longer extent, as a fraction of the crop. The crop rule makes it 0.67."""
MAX_ASPECT = 3.0
"""Maximum aspect ratio of the landmarks; a profile with an open mouth stays below 2.5."""


@dataclass
class TrackerStats:
    """Counts since the tracker was created; `reset` keeps them."""

    frames: int = 0
    detector_runs: int = 0
    detections: int = 0
    """Tracks started."""
    lost_count: int = 0
    """Tracks lost; `reset` is not counted."""
    network_runs: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"detect": 0.0, "crop": 0.0, "network": 0.0})
    """Total time per stage."""


@dataclass(frozen=True)
class _Observation:
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


class _Filters:
    """Smoothing filters of one face."""

    def __init__(self, smoothing: float) -> None:
        self.landmarks, self.points = OneEuroPoints(smoothing), OneEuroPoints(smoothing)
        self.rotation = OneEuroRotation(smoothing)


@dataclass(eq=False)
class _Track:
    """One tracked face."""

    id: int
    observation: _Observation
    motion: RoiMotion
    filters: _Filters | None
    age: int = 0
    low_confidence_count: int = 0
    """Consecutive frames below the tracking threshold or above the uncertainty threshold."""
    motion_residual: float = 0.0
    """Decaying peak distance from the predicted position, ROI sizes."""


class FaceTracker:
    """Tracks faces through one stream of frames; call `reset` before another stream.

    Ids are never given to a second face, not even after `reset`. A lost face that is found again soon and nearby keeps
    its id (see `identity`).
    """

    def __init__(
        self,
        model: Path | str | None = None,
        detector: Detector | None = None,
        max_faces: int = 1,
        smoothing: float = 0.5,
        intrinsics: Intrinsics | None = None,
        threads: int = 1,
        backend: str | Backend = "auto",
        template: Template | None = None,
    ) -> None:
        """Load the model.

        Args:
            model: .tflite or .onnx file; None: the shipped file for this machine (`recommendation.recommended`).
            detector: Face detector; None: the shipped one (`detector.default_detector`).
            max_faces: Maximum number of tracked faces. Each costs one run of the network per frame.
            smoothing: In [0, 1]. Raise it for less jitter and more lag; 0 returns the network's results.
            intrinsics: Camera; None: a field of view of 60 degrees for every frame size.
            threads: Number of threads of the inference engine.
            backend: Name of the inference engine (`backends.load_backend`), or a loaded backend without `model`.
            template: Points to track besides the landmarks, for a model with query points. Models exported for one
                template contain it.

        Raises:
            TemplateError: The model cannot find the template, or needs one.
        """
        self._tracks: list[_Track] = []
        self._smoothing = 0.0
        self.smoothing = smoothing
        require(max_faces >= 1, f"max_faces must be 1 or more, got {max_faces}")
        if isinstance(backend, str):
            self._backend = load_backend(model or recommended(backend).model, backend, threads)
        elif model is None:
            self._backend = backend
        else:
            raise ValueError(f"give either a model file or a loaded backend, got both: {model} and {backend}")
        name = repr(self.spec.name)
        require(not self.spec.is_detector, f"model {name} is a face detector; pass it as `detector`, not as `model`")
        require(
            "confidence" in self.spec.outputs,
            f"model {name} gives landmarks only; tracking needs head pose and confidence: "
            "use a file exported with its heads",
        )
        self.template = self._select_template(template)
        """Template of `Face.points`; None if the model gives landmarks only."""
        self._detector = detector or default_detector()
        self._max_faces = max_faces
        self.intrinsics = intrinsics
        """Camera; may be changed between frames, for instance with their size."""
        self._next_id = 0
        self.stats = TrackerStats()
        self.reset()

    @property
    def spec(self) -> ModelSpec:
        """Spec of the loaded model."""
        return self._backend.spec

    def _select_template(self, template: Template | None) -> Template | None:
        """Return the template that the model finds; set its points as query points if the model takes them."""
        spec = self.spec
        if spec.prompts:
            if template is None:
                raise TemplateError(
                    f"model {spec.name!r} needs query points: got no template, expected one with 1 to {spec.prompts} "
                    "points; pass template=Template.read(path)"
                )
            self._backend.prompt(template.points)
            return template
        if template is not None and (spec.template is None or template.name != spec.template.name):
            found = "landmarks only" if spec.template is None else f"template {spec.template.name!r}"
            raise TemplateError(
                f"model {spec.name!r} finds {found}, got template {template.name!r}: "
                "omit the template, or use a model exported with it or with query points"
            )
        return spec.template

    @property
    def smoothing(self) -> float:
        """Smoothing in [0, 1], 0 for none; may be changed between frames, which restarts the filters."""
        return self._smoothing

    @smoothing.setter
    def smoothing(self, smoothing: float) -> None:
        require(0 <= smoothing <= 1, f"smoothing must lie in [0, 1], got {smoothing}")
        if smoothing == self._smoothing:
            return
        self._smoothing = smoothing
        for track in self._tracks:
            track.filters = _Filters(smoothing) if smoothing else None

    def reset(self) -> None:
        """Drop all tracks and run the detector in the next frame; ids and `stats` continue."""
        self._tracks = []
        self._lost = LostTrackBuffer()
        self._frames_since_detection = DETECTION_INTERVAL

    def update(self, frame: np.ndarray, timestamp: float) -> list[Face]:
        """Track faces in the next frame.

        Args:
            frame: (H, W, 3) BGR image, uint8, uint16, or float in [0, 1]. Gray and BGRA are converted.
            timestamp: Seconds from any origin. It may repeat or decrease.

        Returns:
            One `Face` per tracked face, oldest track first.

        Raises:
            FrameError: The shape, dtype, or value range of `frame` is not supported.
            ValueError: `timestamp` is not finite.
        """
        require(math.isfinite(timestamp), f"timestamp must be a finite number of seconds, got {timestamp}")
        frame = as_bgr(frame)
        height, width = frame.shape[:2]
        intrinsics = self.intrinsics or Intrinsics.from_fov(width, height)
        self.stats.frames += 1

        tracked = [track for track in self._tracks if self._update_track(track, frame, timestamp, intrinsics)]
        tracked = _remove_duplicates(tracked)
        for track in self._tracks:
            if track not in tracked:
                self.stats.lost_count += 1
                self._lost.add(LostTrack(track.id, track.motion, timestamp))
        self._tracks = tracked
        self._lost.remove_expired(timestamp)

        self._frames_since_detection += 1
        interval = DETECTION_INTERVAL if self._lost or not tracked else DETECTION_INTERVAL_TRACKED
        if len(self._tracks) < self._max_faces and self._frames_since_detection >= interval:
            self._frames_since_detection = 0
            self._detect(frame, timestamp, intrinsics)
        return [self._to_face(track, timestamp) for track in self._tracks]

    def _update_track(self, track: _Track, frame: np.ndarray, timestamp: float, intrinsics: Intrinsics) -> bool:
        """Update a track with this frame and return whether its face is still tracked."""
        expected = track.motion.predict(timestamp)
        observation = self._observe(frame, expected, intrinsics)
        if observation is None or observation.confidence < self.spec.lost_threshold:
            return False
        confident = self._is_face(observation, TRACKED_UNCERTAINTY_FACTOR)
        track.low_confidence_count = 0 if confident else track.low_confidence_count + 1
        track.observation = observation
        roi = observation.next_roi
        residual = math.hypot(roi.cx - expected.cx, roi.cy - expected.cy) / expected.size
        track.motion_residual = max(residual, RESIDUAL_DECAY * track.motion_residual)
        track.motion.update(roi, timestamp)
        track.age += 1
        return track.low_confidence_count < MAX_LOW_CONFIDENCE_FRAMES

    def _detect(self, frame: np.ndarray, timestamp: float, intrinsics: Intrinsics) -> None:
        """Start tracks of newly detected faces, up to `max_faces` tracks."""
        self.stats.detector_runs += 1
        start = time.perf_counter()
        detections = self._detector.detect(frame)
        self.stats.seconds["detect"] += time.perf_counter() - start
        tracked = [track.observation.next_roi for track in self._tracks]
        candidates = [roi for roi in detections if all(roi.iou(other) < DUPLICATE_IOU_THRESHOLD for other in tracked)]
        for candidate in candidates[: max(MAX_CANDIDATES, self._max_faces)]:
            if len(self._tracks) == self._max_faces:
                return
            observation = self._observe(frame, candidate, intrinsics)
            for _ in range(REFINEMENTS):
                if observation is not None:
                    observation = self._observe(frame, observation.next_roi, intrinsics)
            if observation is None or not self._is_face(observation):
                continue
            if not any(same_face(observation.landmarks, track.observation.landmarks) for track in self._tracks):
                self._start_track(observation, timestamp)

    def _is_face(self, observation: _Observation, uncertainty_factor: float = 1.0) -> bool:
        """Return whether confidence and uncertainty pass: prints and hands may have a high confidence."""
        limit = uncertainty_factor * self.spec.uncertainty_threshold
        return observation.confidence >= self.spec.track_threshold and observation.mean_sigma <= limit

    def _start_track(self, observation: _Observation, timestamp: float) -> None:
        track_id = self._lost.match(observation.next_roi, timestamp)
        if track_id is None:
            track_id, self._next_id = self._next_id, self._next_id + 1
        filters = _Filters(self._smoothing) if self._smoothing else None
        self._tracks.append(_Track(track_id, observation, RoiMotion(observation.next_roi, timestamp), filters))
        self.stats.detections += 1

    def _observe(self, frame: np.ndarray, roi: ROI, intrinsics: Intrinsics) -> _Observation | None:
        """Run the network on an ROI. Return None if a result is not finite or the landmarks are not plausible."""
        spec = self.spec
        if roi.size < MIN_ROI_SIZE:
            return None
        start = time.perf_counter()
        crop = cv2.cvtColor(extract_crop(frame, roi, spec.input_size), cv2.COLOR_BGR2RGB)
        cropped = time.perf_counter()
        outputs = self._backend.run(crop)
        self.stats.seconds["crop"] += cropped - start
        self.stats.seconds["network"] += time.perf_counter() - cropped
        self.stats.network_runs += 1
        landmarks, uncertainty = roi.to_frame(outputs["landmarks"]), outputs["uncertainty"]
        confidence, mean_sigma = float(outputs["confidence"][0]), float(uncertainty.sum()) / len(uncertainty)
        numbers = confidence, mean_sigma, *outputs["pose"].tolist()
        if not (all(map(math.isfinite, numbers)) and np.isfinite(landmarks).all()):
            return None
        roll = upright_roll(landmarks, spec.mean_shape) if spec.upright else 0.0
        rectangle = Rectangle.around(landmarks, roll)
        if not is_plausible(rectangle, roi, (frame.shape[1], frame.shape[0])):
            return None
        next_roi = rectangle.squared(spec.crop_margin)
        return _Observation(
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

    def _to_face(self, track: _Track, timestamp: float) -> Face:
        observation, filters = track.observation, track.filters
        landmarks, rotation, points = observation.landmarks, observation.rotation, observation.points
        if filters is not None:
            size = observation.roi.size
            landmarks = filters.landmarks(landmarks, timestamp, size)
            rotation = filters.rotation(rotation, timestamp)
            points = None if points is None else filters.points(points, timestamp, size)
        return Face(
            id=track.id,
            state=TrackState.TRACKED if track.age else TrackState.DETECTED,
            landmarks=landmarks,
            uncertainty=observation.uncertainty,
            pose=Pose(rotation),
            confidence=observation.confidence,
            roi=observation.roi,
            direction=observation.direction,
            age=track.age,
            points=points,
            points_uncertainty=observation.points_uncertainty,
        )


def _remove_duplicates(tracks: list[_Track]) -> list[_Track]:
    """Remove tracks on the same face as a track with a smaller motion residual, or an older one."""
    kept: list[_Track] = []
    for track in sorted(tracks, key=lambda t: (t.motion_residual, -t.age)):
        if not any(same_face(track.observation.landmarks, other.observation.landmarks) for other in kept):
            kept.append(track)
    return [track for track in tracks if track in kept]


def is_plausible(rectangle: Rectangle, roi: ROI, frame_size: tuple[int, int]) -> bool:
    """Return whether size, aspect, and position of the landmarks' rectangle, found in crop `roi`, can be a face's."""
    shorter, longer = sorted((rectangle.width, rectangle.height))
    return (
        EXTENT_LIMITS[0] <= longer / roi.size <= EXTENT_LIMITS[1]
        and longer <= MAX_ASPECT * shorter
        and rectangle.fraction_inside(*frame_size) >= MIN_INSIDE_FRACTION
    )
