"""The loop: detect faces once, then follow each by re-cropping from its own landmarks.

A frame of a held face costs one run of the network and no detector (thesis, section 3.2).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.backends import Backend, default_model_path, load_backend
from edge_runtime.detector import Detector, default_detector
from edge_runtime.errors import TemplateError
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
from edge_runtime.smoothing import OneEuroPoints, OneEuroRotation
from edge_runtime.spec import ModelSpec
from edge_runtime.template import Template

DETECTION_INTERVAL = 5
"""The detector runs in every fifth frame at most, so that a camera without a face, or with one that comes and goes,
stays smooth. It is due at once in the first frame, after `reset`, and in the frame that loses a longer held face."""
DETECTION_INTERVAL_TRACKED = 15
"""The same while at least one face is held, none was lost lately and there is room for more: nobody minds to be seen
half a second late."""
MAX_CANDIDATES = 3
"""Detector candidates that the network looks at per detection: bounds the cost of cluttered pictures."""
DUPLICATE_IOU_THRESHOLD = 0.4
"""A candidate that overlaps a held face's region this much is that face; the network need not look."""
REFINEMENTS = 2
"""Runs on a re-made crop after the first one at detection: a detector's box is off by a fifth of a face and knows
nothing of roll, and the network is at its best on the crops that it was trained on."""
RESIDUAL_DECAY = 0.9
"""Per frame. A track slips onto another face over several frames, and then moves as smoothly as that face."""
TRACKED_UNCERTAINTY_FACTOR = 1.7
"""Times the uncertainty that a new face may have, from which a held one is doubted: motion blurs."""
MAX_LOW_CONFIDENCE_FRAMES = 5
"""Consecutive frames between the two thresholds, or with all landmarks uncertain, after which a face is lost: a blink
of an occlusion is forgiven."""
MIN_ROI_SIZE = 8.0
"""Pixels; fewer hold no face."""
MIN_INSIDE_FRACTION = 0.5
"""Share of the landmarks' rectangle that must lie inside the frame."""
EXTENT_LIMITS = (0.25, 1.25)
"""The landmarks' longer extent as a share of the crop. The crop rule makes it 0.67; outside these limits the
landmarks collapsed or exploded."""
MAX_ASPECT = 3.0
"""Longer over shorter extent of the landmarks; a profile with the mouth wide open stays below 2.5."""


@dataclass
class TrackerStats:
    """What a tracker has done since it was made."""

    frames: int = 0
    detector_runs: int = 0
    detections: int = 0
    """Faces that began to be tracked."""
    lost_count: int = 0
    """Faces that stopped being tracked, `reset` not counted."""
    network_runs: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"detect": 0.0, "crop": 0.0, "network": 0.0})
    """Time spent per stage."""


@dataclass(frozen=True)
class _Observation:
    """What the network said about one crop, in pixels of the frame and in the camera's frame."""

    roi: ROI
    landmarks: np.ndarray
    uncertainty: np.ndarray
    rotation: np.ndarray
    confidence: float
    mean_sigma: float
    """Mean standard deviation of the landmarks, crop widths."""
    next_roi: ROI
    """The crop that these landmarks ask for."""
    direction: np.ndarray
    points: np.ndarray | None = None
    points_uncertainty: np.ndarray | None = None


@dataclass(eq=False)
class _Track:
    """One held face."""

    id: int
    observation: _Observation
    motion: RoiMotion
    point_filter: OneEuroPoints | None = None
    rotation_filter: OneEuroRotation | None = None
    template_filter: OneEuroPoints | None = None
    age: int = 0
    low_confidence_count: int = 0
    """Consecutive frames below the tracking threshold."""
    motion_residual: float = 0.0
    """How far the face lately was from where its motion led, in region sizes."""

    def smooth(self, strength: float) -> None:
        """Smooth what follows; 0 does not."""
        self.point_filter = OneEuroPoints(strength) if strength else None
        self.rotation_filter = OneEuroRotation(strength) if strength else None
        self.template_filter = OneEuroPoints(strength) if strength else None


class FaceTracker:
    """Follows faces through a stream of frames.

    A tracker belongs to one stream; `reset` it before feeding it another. An id is never given to a second face, not
    even across `reset`; `identity` tells when a lost face that is found again keeps its own.
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

        `model` is a .tflite or .onnx file; None takes the exported shipped weights (`backends.default_model_path`).
        `detector` finds a face's first region; None takes the best one here (`detector.default_detector`).
        `max_faces` are followed at a time; each costs a run of the network per frame.
        `smoothing` in [0, 1] trades jitter against lag; 0 returns what the network says.
        `intrinsics` are the camera's; None assumes a 60 degree field of view of every frame's own size.
        `backend` names the inference engine (see `backends.load_backend`) or is a loaded one, and then `model` is None.
        `template` says which points to find besides the landmarks, for a model that takes them as an input; a model
        that was exported for one template has it inside. TemplateError when the two do not go together.
        """
        self._tracks: list[_Track] = []
        self._smoothing = 0.0
        self.smoothing = smoothing
        if max_faces < 1:
            raise ValueError(f"max_faces must be 1 or more, got {max_faces}")
        if isinstance(backend, str):
            self._backend = load_backend(model or default_model_path(backend), backend, threads)
        elif model is None:
            self._backend = backend
        else:
            raise ValueError(f"give either a model file or a loaded backend, got both: {model} and {backend}")
        if self.spec.is_detector:
            raise ValueError(f"the model {self.spec.name} is a face detector; it goes in `detector`, not in `model`")
        if "confidence" not in self.spec.outputs:
            raise ValueError(
                f"the model {self.spec.name} gives landmarks only; tracking needs head pose and confidence too: "
                "use a file exported with its heads"
            )
        self.template = self._chosen(template)
        """What `Face.points` are; None when the model gives landmarks only."""
        self._detector = detector or default_detector()
        self._max_faces = max_faces
        self.intrinsics = intrinsics
        """The camera; may be changed between frames, as when its picture's size changes."""
        self._next_id = 0
        self.stats = TrackerStats()
        self.reset()

    @property
    def spec(self) -> ModelSpec:
        """The spec of the loaded model."""
        return self._backend.spec

    def _chosen(self, template: Template | None) -> Template | None:
        """The template that is found, its points told to the model where it takes them."""
        spec = self.spec
        if spec.prompts:
            if template is None:
                raise TemplateError(
                    f"the model {spec.name} finds any points of the mean face, up to {spec.prompts}: "
                    "say which by a template"
                )
            self._backend.prompt(template.points)
            return template
        inside = "landmarks only" if spec.template is None else f"the template {spec.template.name}"
        if template is not None and (spec.template is None or template.name != spec.template.name):
            raise TemplateError(
                f"the model {spec.name} finds {inside}, not {template.name}: "
                "leave the template out, or take a model that was exported with it or with prompts"
            )
        return spec.template

    @property
    def smoothing(self) -> float:
        """In [0, 1], 0 for none; may be changed between frames: another strength begins anew for every face."""
        return self._smoothing

    @smoothing.setter
    def smoothing(self, strength: float) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"smoothing must lie in [0, 1], got {strength}")
        if strength == self._smoothing:
            return
        self._smoothing = strength
        for track in self._tracks:
            track.smooth(strength)

    def reset(self) -> None:
        """Forget the faces and look for new ones in the next frame; ids and `stats` count on."""
        self._tracks = []
        self._lost = LostTrackBuffer()
        self._frames_since_search = DETECTION_INTERVAL

    def update(self, frame: np.ndarray, timestamp: float) -> list[Face]:
        """Find or follow the faces in the next frame.

        `frame` is anything that `frames.as_bgr` takes, channels in OpenCV's order; `timestamp` is in seconds, of any
        origin, and may stand still or run back. FrameError for what is no picture, ValueError for a timestamp that is
        no number.
        """
        if not math.isfinite(timestamp):
            raise ValueError(f"a timestamp must be a finite number of seconds, got {timestamp}")
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

        self._frames_since_search += 1
        interval = DETECTION_INTERVAL if self._lost or not tracked else DETECTION_INTERVAL_TRACKED
        if len(self._tracks) < self._max_faces and self._frames_since_search >= interval:
            self._frames_since_search = 0
            self._detect(frame, timestamp, intrinsics)
        return [self._to_face(track, timestamp) for track in self._tracks]

    def _update_track(self, track: _Track, frame: np.ndarray, timestamp: float, intrinsics: Intrinsics) -> bool:
        """Bring a track to this frame; False when its face is lost."""
        expected = track.motion.predict(timestamp)
        observation = self._observe(frame, expected, intrinsics)
        if observation is None or observation.confidence < self.spec.lost_threshold:
            return False
        confident = self._is_face(observation, TRACKED_UNCERTAINTY_FACTOR * self.spec.uncertainty_threshold)
        track.low_confidence_count = 0 if confident else track.low_confidence_count + 1
        track.observation = observation
        residual = (
            math.hypot(observation.next_roi.cx - expected.cx, observation.next_roi.cy - expected.cy) / expected.size
        )
        track.motion_residual = max(residual, RESIDUAL_DECAY * track.motion_residual)
        track.motion.update(observation.next_roi, timestamp)
        track.age += 1
        return track.low_confidence_count < MAX_LOW_CONFIDENCE_FRAMES

    def _detect(self, frame: np.ndarray, timestamp: float, intrinsics: Intrinsics) -> None:
        """Look for faces that are not held yet, up to `max_faces` in all."""
        self.stats.detector_runs += 1
        began = time.perf_counter()
        candidates = self._detector.detect(frame)
        self.stats.seconds["detect"] += time.perf_counter() - began
        regions = [track.observation.next_roi for track in self._tracks]
        new = [roi for roi in candidates if all(roi.iou(region) < DUPLICATE_IOU_THRESHOLD for region in regions)]
        for candidate in new[: max(MAX_CANDIDATES, self._max_faces)]:
            if len(self._tracks) == self._max_faces:
                return
            observation = self._observe(frame, candidate, intrinsics)
            for _ in range(REFINEMENTS):
                if observation is not None:
                    observation = self._observe(frame, observation.next_roi, intrinsics)
            if observation is None or not self._is_face(observation, self.spec.uncertainty_threshold):
                continue
            if any(same_face(observation.landmarks, track.observation.landmarks) for track in self._tracks):
                continue
            self._start_track(observation, timestamp)

    def _is_face(self, observation: _Observation, uncertainty_threshold: float) -> bool:
        """A network that is sure of a face but not of a single landmark looks at a print, an emblem or a hand."""
        return observation.confidence >= self.spec.track_threshold and observation.mean_sigma <= uncertainty_threshold

    def _start_track(self, observation: _Observation, timestamp: float) -> None:
        known = self._lost.match(observation.next_roi, timestamp)
        if known is None:
            known, self._next_id = self._next_id, self._next_id + 1
        track = _Track(id=known, observation=observation, motion=RoiMotion(observation.next_roi, timestamp))
        track.smooth(self._smoothing)
        self._tracks.append(track)
        self.stats.detections += 1

    def _observe(self, frame: np.ndarray, roi: ROI, intrinsics: Intrinsics) -> _Observation | None:
        """Run the network on a region; None when its results are not numbers or its landmarks cannot be a face's."""
        spec = self.spec
        if roi.size < MIN_ROI_SIZE:
            return None
        began = time.perf_counter()
        crop = cv2.cvtColor(extract_crop(frame, roi, spec.input_size), cv2.COLOR_BGR2RGB)
        cropped = time.perf_counter()
        outputs = self._backend.run(crop)
        self.stats.seconds["crop"] += cropped - began
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
        observation = track.observation
        landmarks, rotation, points = observation.landmarks, observation.rotation, observation.points
        if track.point_filter is not None and track.rotation_filter is not None:
            landmarks = track.point_filter(landmarks, timestamp, observation.roi.size)
            rotation = track.rotation_filter(rotation, timestamp)
        if track.template_filter is not None and points is not None:
            points = track.template_filter(points, timestamp, observation.roi.size)
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
    """The tracks without those that slipped onto another one's face."""
    if len(tracks) < 2:
        return tracks
    kept: list[_Track] = []
    for track in sorted(tracks, key=lambda t: (t.motion_residual, -t.age)):
        if not any(same_face(track.observation.landmarks, other.observation.landmarks) for other in kept):
            kept.append(track)
    return [track for track in tracks if track in kept]


def is_plausible(rectangle: Rectangle, roi: ROI, frame_size: tuple[int, int]) -> bool:
    """Whether landmarks seen in a region can be a face's, by size, aspect and place of the rectangle around them.

    `frame_size` is (width, height).
    """
    shorter, longer = sorted((rectangle.width, rectangle.height))
    return (
        EXTENT_LIMITS[0] <= longer / roi.size <= EXTENT_LIMITS[1]
        and longer <= MAX_ASPECT * shorter
        and rectangle.fraction_inside(*frame_size) >= MIN_INSIDE_FRACTION
    )
