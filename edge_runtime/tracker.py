"""Tracking loop: detect a face once, then track it by cropping around its own landmarks (thesis, section 3.2)."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from edge_runtime import models
from edge_runtime.backends import Backend, load_backend
from edge_runtime.detector import default_detector, open_detector, search
from edge_runtime.errors import DetectorError, TemplateError, is_finite, require
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.face import Face, Pose, TrackState
from edge_runtime.frames import as_bgr
from edge_runtime.geometry import ROI, Intrinsics
from edge_runtime.identity import LostTrack, LostTrackBuffer, same_face
from edge_runtime.motion import RoiMotion
from edge_runtime.neutral import RestingFaces
from edge_runtime.observation import Observation, Observer, may_hold_face
from edge_runtime.options import TrackerOptions
from edge_runtime.probation import (
    DOUBT_CONFIDENCE_MARGIN,
    DOUBT_UNCERTAINTY_FACTOR,
    MIN_EVIDENCE_FRAMES,
    SURE_CONFIDENCE_MARGIN,
    SURE_UNCERTAINTY_FACTOR,
    Evidence,
    Limits,
    RejectedPlaces,
)
from edge_runtime.reading import quote
from edge_runtime.recommendation import recommended
from edge_runtime.smoothing import (
    EXPRESSION_SPEED_COEFFICIENT,
    POSE_SPEED_COEFFICIENT,
    OneEuroNumbers,
    OneEuroPoints,
    OneEuroRotation,
)
from edge_runtime.spec import ModelSpec
from edge_runtime.stats import TrackerStats
from edge_runtime.template import Template

MAX_CANDIDATES = 3
"""Maximum number of detections that the network checks per search of a stream; `max_faces` if that is larger."""
DUPLICATE_IOU_THRESHOLD = 0.4
"""IoU with a tracked face's ROI from which a detection is discarded as that face."""
REFINEMENTS = 2
"""Number of further crops after a detection, each from the previous landmarks. A detector's box is inexact and has no
roll."""
QUARTER_TURNS = (math.pi, math.pi / 2, -math.pi / 2)
"""Turns of a candidate that are tried, too, if it is not surely a face as the detector gives it. A detector's roll is
coarse for small faces, and others have none."""
RESIDUAL_DECAY = 0.9
"""Decay per frame of a track's peak motion residual. Raise it to remember a jump longer when duplicates are removed."""
TRACKED_UNCERTAINTY_FACTOR = 1.7
"""Uncertainty threshold of a tracked face relative to a new one's: motion blur raises the uncertainty."""


class _Filters:
    """Smoothing filters of one face."""

    def __init__(self, smoothing: float) -> None:
        self.landmarks, self.points = OneEuroPoints(smoothing), OneEuroPoints(smoothing)
        self.rotation = OneEuroRotation(smoothing)
        self.expressions = OneEuroNumbers(smoothing, EXPRESSION_SPEED_COEFFICIENT)
        self.gaze = OneEuroNumbers(smoothing, POSE_SPEED_COEFFICIENT)

    def __call__(self, seen: Observation, timestamp: float) -> Observation:
        """Return the observation of `timestamp` (seconds) smoothed."""
        size = seen.roi.size
        return Observation(
            roi=seen.roi,
            landmarks=self.landmarks(seen.landmarks, timestamp, size),
            uncertainty=seen.uncertainty,
            rotation=self.rotation(seen.rotation, timestamp),
            confidence=seen.confidence,
            mean_sigma=seen.mean_sigma,
            next_roi=seen.next_roi,
            direction=seen.direction,
            points=None if seen.points is None else self.points(seen.points, timestamp, size),
            points_uncertainty=seen.points_uncertainty,
            expressions=None if seen.expressions is None else self.expressions(seen.expressions, timestamp),
            gaze=None if seen.gaze is None else self.gaze(seen.gaze.ravel(), timestamp).reshape(2, 2),
        )


@dataclass(eq=False)
class Track:
    """One tracked face."""

    id: int
    observation: Observation
    motion: RoiMotion
    filters: _Filters | None
    evidence: Evidence
    age: int = 0
    low_confidence_count: int = 0
    """Consecutive frames below the tracking threshold or above the uncertainty threshold."""
    motion_residual: float = 0.0
    """Decaying peak distance from the predicted position, ROI sizes."""


class FaceTracker:
    """Finds faces in pictures (`detect`) and tracks them through one stream of frames (`update`).

    A context manager, which releases the model. Not to be used by two threads at once; trackers may share a backend.
    A face keeps its id while it is tracked. One that appears within `TrackerOptions.reid_seconds` where another was
    lost, or at the border by which it left, takes that one's id, whoever it is: position decides, not appearance.
    Otherwise it gets a new id, and ids are never used again, not even after `reset`.
    """

    def __init__(self, options: TrackerOptions | None = None) -> None:
        """Load the model.

        Raises:
            FileNotFoundError: The model file does not exist.
            ModelFileError: The model file cannot be used, or has no head pose and confidence.
            BackendError: The inference engine is not installed or does not read the file.
            TemplateError: The model cannot find the template, or needs one.
        """
        if not isinstance(options, TrackerOptions | None):
            raise TypeError(f"FaceTracker takes TrackerOptions, got {options!r}: give TrackerOptions(model=…)")
        options = options or TrackerOptions()
        backend = _open_backend(options)
        spec = ModelSpec.check_kind(backend.spec)
        require(
            "confidence" in spec.outputs,
            f"model {spec.name!r} gives landmarks only; tracking needs head pose and confidence: "
            "use a file exported with its heads",
        )
        self.spec = spec
        """Spec of the loaded model."""
        self.options = options
        self.template = _select_template(spec, options.template)
        """Template of `Face.points`; None if the model gives landmarks only."""
        self._scheme = spec.landmark_scheme
        confidence = spec.track_threshold if options.track_threshold is None else options.track_threshold
        limit = options.uncertainty_threshold
        self._limits = Limits(confidence, spec.uncertainty_threshold if limit is None else limit)
        self._tracked_limits = self._limits.stricter(0.0, TRACKED_UNCERTAINTY_FACTOR)
        self._trusted_limits = (
            self._limits.stricter(DOUBT_CONFIDENCE_MARGIN, DOUBT_UNCERTAINTY_FACTOR),
            self._limits.stricter(SURE_CONFIDENCE_MARGIN, 1.0),
        )
        self._sure_limits = self._limits.stricter(SURE_CONFIDENCE_MARGIN, SURE_UNCERTAINTY_FACTOR)
        # A picture has no further frames to tell.
        self._picture_limits = self._limits.stricter(DOUBT_CONFIDENCE_MARGIN, SURE_UNCERTAINTY_FACTOR)
        lost = spec.lost_threshold if options.lost_threshold is None else options.lost_threshold
        self._lost_threshold = min(lost, confidence)
        query = self.template.points if self.template is not None and spec.prompts else None
        self.stats = TrackerStats()
        """Counts and times so far; they outlast `close`."""
        self._observer: Observer | None = Observer(backend, spec, query, self.stats)
        detector = options.detector
        self._detector = open_detector(detector) if isinstance(detector, str) else detector or default_detector()
        self._smoothing = options.smoothing
        self._next_id = 0
        self.reset()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the model. The tracker cannot be used any more."""
        self._observer = None

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
            track.filters = self._filters()

    def reset(self) -> None:
        """Drop all tracks and resting faces, to begin another stream; the next frame is searched.

        Ids and `stats` continue.
        """
        self._tracks: list[Track] = []
        self._lost = LostTrackBuffer(self.options.reid_seconds)
        self._rejected = RejectedPlaces()
        self._searches = 0
        self._searched = -math.inf
        self._frames_since_search = self.options.detection_interval
        self._resting = RestingFaces()

    def calibrate_neutral(self, seconds: float = 1.0) -> None:
        """Watch the resting faces of the next `seconds` of the stream, and subtract what their expressions read.

        Ask people to relax and to look at the camera. The calibration begins with the next frame that has a face.
        With `max_faces` 1 it holds for whoever is there, otherwise for the faces seen, by id; until `reset`.

        Raises:
            ValueError: The model gives no expressions, or `seconds` does not lie in (0, 60].
        """
        require(
            self.spec.has_expressions,
            f"model {self.spec.name!r} gives no expressions to calibrate: use one exported with `--heads all`",
        )
        self._resting.begin(seconds)

    @property
    def calibrating(self) -> bool:
        """Whether `calibrate_neutral` is under way, or waits for a face."""
        return self._resting.calibrating

    def detect(self, image: np.ndarray) -> list[Face]:
        """Find all faces in one picture, whatever was seen before; the stream of `update` is not affected.

        Args:
            image: (H, W, 3) BGR, as in `update`.

        Returns:
            Every face found, by the detector's order, not smoothed. Ids count from 0 in each picture, and `max_faces`
            does not apply.

        Raises:
            FrameError: The shape, dtype, or value range of `image` is not supported.
        """
        self._check_open()
        frame = as_bgr(image)
        intrinsics = self.options.camera.at(frame.shape[1], frame.shape[0])
        self.stats.frames += 1
        found: list[Observation] = []
        for candidate in self._search(frame, None):
            if all(candidate.iou(other.next_roi) < DUPLICATE_IOU_THRESHOLD for other in found):
                found += self._find(frame, candidate, intrinsics, found, self._picture_limits)
        self.stats.detections += len(found)
        return [self._face(i, TrackState.DETECTED, face, face.expressions, 0) for i, face in enumerate(found)]

    def update(self, frame: np.ndarray, timestamp: float | None = None) -> list[Face]:
        """Track faces in the next frame of a stream.

        Args:
            frame: (H, W, 3) BGR image, uint8, uint16, or float in [0, 1]. Gray and BGRA are converted.
            timestamp: Seconds from any origin; it may repeat or decrease. None: the clock.

        Returns:
            One `Face` per tracked face, oldest track first.

        Raises:
            FrameError: The shape, dtype, or value range of `frame` is not supported.
            ValueError: `timestamp` is not finite.
        """
        self._check_open()
        timestamp = time.monotonic() if timestamp is None else timestamp
        if not is_finite(timestamp):
            raise ValueError(f"timestamp must be a finite number of seconds, got {quote(repr(timestamp))}")
        timestamp = float(timestamp)  # numpy's float32 would make all times coarse
        frame = as_bgr(frame)
        intrinsics = self.options.camera.at(frame.shape[1], frame.shape[0])
        self.stats.frames += 1

        tracked = [track for track in self._tracks if self._update_track(track, frame, timestamp, intrinsics)]
        tracked = _remove_duplicates(tracked)
        for track in self._tracks:
            if track not in tracked:
                self._lose(track, timestamp)
        self._tracks = tracked
        self._lost.remove_expired(timestamp, self._searched, (frame.shape[1], frame.shape[0]))
        self._rejected.remove_expired(timestamp)

        self._frames_since_search += 1
        options = self.options
        trusted = len(tracked) - len(self._doubtful_tracks())
        searching = self._lost or not trusted
        interval = options.detection_interval if searching else options.detection_interval_tracked
        if trusted < options.max_faces and self._frames_since_search >= interval:
            self._frames_since_search, self._searched = 0, timestamp
            self._start_tracks(frame, timestamp, intrinsics)
        if self._resting.calibrating:
            expressions = {self._resting_key(track): track.observation.expressions for track in self._tracks}
            self._resting.watch({key: each for key, each in expressions.items() if each is not None}, timestamp)
        return [self._smoothed(track, timestamp) for track in self._tracks]

    def _check_open(self) -> Observer:
        if self._observer is None:
            raise ValueError("this tracker is closed: make another one")
        return self._observer

    def _observe(self, frame: np.ndarray, roi: ROI, intrinsics: Intrinsics) -> Observation | None:
        return self._check_open().observe(frame, roi, intrinsics)

    def _search(self, frame: np.ndarray, turn: int | None) -> list[ROI]:
        """Run the detector: on everything, or on its part of the `turn`-th search of a stream."""
        self.stats.detector_runs += 1
        start = time.perf_counter()
        found = self._detector.detect(frame) if turn is None else search(self._detector, frame, turn)
        self.stats.seconds["detect"] += time.perf_counter() - start
        if not (isinstance(found, Sequence) and all(isinstance(roi, ROI) for roi in found)):
            raise DetectorError(
                f"a detector must return a list of ROI, got {quote(repr(found))}; `roi_of_face_box` converts boxes"
            )
        return [roi for roi in found if may_hold_face(roi, (frame.shape[1], frame.shape[0]))]

    def _find(
        self, frame: np.ndarray, candidate: ROI, intrinsics: Intrinsics, known: Sequence[Observation], limits: Limits
    ) -> list[Observation]:
        """Return the observation of a detected face, or nothing if it is none or one of the known ones."""
        observation = self._observe(frame, candidate, intrinsics)
        if observation is None or not _accepted(observation, self._sure_limits):
            observation = self._best_turn(frame, candidate, intrinsics, observation)
        for _ in range(REFINEMENTS):
            # Of a face read upside down, one crop or another is doubtful.
            if observation is None or observation.confidence < self._limits.confidence:
                return []
            observation = self._observe(frame, observation.next_roi, intrinsics)
        if observation is None or not _accepted(observation, limits):
            return []
        return [] if any(same_face(observation.landmarks, face.landmarks) for face in known) else [observation]

    def _best_turn(
        self, frame: np.ndarray, candidate: ROI, intrinsics: Intrinsics, upright: Observation | None
    ) -> Observation | None:
        """Return the best observation of a candidate turned by quarters: a detector may not tell which way is up."""
        turned = [dataclasses.replace(candidate, roll=candidate.roll + turn) for turn in QUARTER_TURNS]
        seen = [upright, *(self._observe(frame, roi, intrinsics) for roi in turned)]
        # The least uncertain one that may be a face, else the most confident one.
        return max(
            (each for each in seen if each is not None),
            key=lambda each: (min(each.confidence, self._limits.confidence), -each.mean_sigma),
            default=None,
        )

    def _update_track(self, track: Track, frame: np.ndarray, timestamp: float, intrinsics: Intrinsics) -> bool:
        """Update a track with this frame and return whether its face is still tracked."""
        expected = track.motion.predict(timestamp)
        observation = self._observe(frame, expected, intrinsics)
        if observation is None:
            track.evidence.add(0.0, track.evidence.uncertainty)
            return False
        track.evidence.add(observation.confidence, observation.mean_sigma)
        if observation.confidence < self._lost_threshold:
            return False
        confident = _accepted(observation, self._tracked_limits)
        track.low_confidence_count = 0 if confident else track.low_confidence_count + 1
        track.observation = observation
        roi = observation.next_roi
        residual = math.hypot(roi.cx - expected.cx, roi.cy - expected.cy) / expected.size
        track.motion_residual = max(residual, RESIDUAL_DECAY * track.motion_residual)
        track.motion.update(roi, timestamp)
        track.age += 1
        if track.evidence.on_probation and self._is_doubtful(track):
            return False
        return track.low_confidence_count < self.options.max_low_confidence_frames

    def _lose(self, track: Track, timestamp: float) -> None:
        """Remember a track that ends, and the place of a new one that ends in doubt."""
        self.stats.lost_count += 1
        if track.evidence.on_probation and not track.evidence.supports(*self._trusted_limits):
            self.stats.rejected_count += 1
            self._rejected.add(track.observation.next_roi, timestamp)
        self._lost.add(LostTrack(track.id, track.motion, timestamp))

    def _is_doubtful(self, track: Track) -> bool:
        enough = track.evidence.frames >= MIN_EVIDENCE_FRAMES
        return enough and not track.evidence.supports(*self._trusted_limits)

    def _doubtful_tracks(self) -> list[Track]:
        return [track for track in self._tracks if self._is_doubtful(track)]

    def _start_tracks(self, frame: np.ndarray, timestamp: float, intrinsics: Intrinsics) -> None:
        """Search the frame and start tracks of new faces, up to `max_faces`; a sure one replaces a doubtful track."""
        detections = self._search(frame, self._searches)
        self._searches += 1
        max_faces = self.options.max_faces
        tracked = [track.observation.next_roi for track in self._tracks]
        candidates = [roi for roi in detections if all(roi.iou(other) < DUPLICATE_IOU_THRESHOLD for other in tracked)]
        candidates.sort(key=lambda roi: roi in self._rejected)  # known false alarms last
        for candidate in candidates[: max(MAX_CANDIDATES, max_faces)]:
            doubtful, full = self._doubtful_tracks(), len(self._tracks) == max_faces
            if full and not doubtful:
                return
            known = [track.observation for track in self._tracks]
            for face in self._find(frame, candidate, intrinsics, known, self._limits):
                sure = _accepted(face, self._sure_limits)
                if not sure and (full or face.next_roi in self._rejected):
                    continue
                replaced = min(doubtful, key=lambda track: track.evidence.confidence) if full else None
                self._start_track(face, timestamp, (frame.shape[1], frame.shape[0]))
                if replaced is not None:  # only now, so that its id is not matched
                    self._tracks.remove(replaced)
                    self._lose(replaced, timestamp)

    def _start_track(self, observation: Observation, timestamp: float, frame_size: tuple[int, int]) -> None:
        track_id = self._lost.match(observation.next_roi, timestamp, frame_size)
        if track_id is None:
            track_id, self._next_id = self._next_id, self._next_id + 1
        motion = RoiMotion(observation.next_roi, timestamp)
        self._tracks.append(
            Track(
                track_id, observation, motion, self._filters(), Evidence(observation.confidence, observation.mean_sigma)
            )
        )
        self.stats.detections += 1

    def _filters(self) -> _Filters | None:
        return _Filters(self._smoothing) if self._smoothing else None

    def _resting_key(self, track: Track) -> int:
        return 0 if self.options.max_faces == 1 else track.id

    def _smoothed(self, track: Track, timestamp: float) -> Face:
        """Return the track's face in this frame."""
        state = TrackState.TRACKED if track.age else TrackState.DETECTED
        seen = track.observation if track.filters is None else track.filters(track.observation, timestamp)
        expressions = seen.expressions
        if expressions is not None:
            expressions = self._resting.subtract(self._resting_key(track), expressions)
        return self._face(track.id, state, seen, expressions, track.age)

    def _face(
        self, face_id: int, state: TrackState, observation: Observation, expressions: np.ndarray | None, age: int
    ) -> Face:
        """Return a face whose arrays are its own: filters and tracks keep theirs."""
        points, sigmas, gaze = observation.points, observation.points_uncertainty, observation.gaze
        return Face(
            id=face_id,
            state=state,
            landmarks=observation.landmarks.copy(),
            uncertainty=observation.uncertainty.copy(),
            pose=Pose(observation.rotation.copy()),
            confidence=observation.confidence,
            roi=observation.roi,
            direction=observation.direction.copy(),
            age=age,
            points=None if points is None else points.copy(),
            points_uncertainty=None if sigmas is None else sigmas.copy(),
            scheme=self._scheme,
            template=self.template,
            expressions=None if expressions is None else dict(zip(EXPRESSIONS, expressions.tolist(), strict=True)),
            gaze=None if gaze is None else gaze.copy(),
        )


def _accepted(observation: Observation, limits: Limits) -> bool:
    """Return whether confidence and uncertainty pass: prints and hands may have a high confidence."""
    return limits.accept(observation.confidence, observation.mean_sigma)


def _remove_duplicates(tracks: list[Track]) -> list[Track]:
    """Remove tracks on the same face as a track with a smaller motion residual, or an older one."""
    kept: list[Track] = []
    for track in sorted(tracks, key=lambda t: (t.motion_residual, -t.age)):
        if not any(same_face(track.observation.landmarks, other.observation.landmarks) for other in kept):
            kept.append(track)
    return [track for track in tracks if track in kept]


def _open_backend(options: TrackerOptions) -> Backend:
    model, threads = options.model, options.threads
    network = str(model) if isinstance(model, str | Path) and str(model) in models.NETWORKS else None
    if model is None or network is not None:
        found = recommended(options.engine, network)
        model, threads = found.model, threads or found.threads
    return load_backend(model, options.engine, threads or 1) if isinstance(model, str | Path) else model


def _select_template(spec: ModelSpec, template: Template | None) -> Template | None:
    """Return the template that the model finds."""
    if spec.prompts:
        if template is None:
            raise TemplateError(
                f"model {spec.name!r} needs query points: got no template, expected one with 1 to {spec.prompts} "
                "points; pass template=Template.read(path)"
            )
        if len(template.points) > spec.prompts:
            raise TemplateError(
                f"model {spec.name!r} takes up to {spec.prompts} query points, template {template.name!r} has "
                f"{len(template.points)}; export it with more --prompts, or with --template"
            )
        return template
    if template is not None and (spec.template is None or template.name != spec.template.name):
        found = "landmarks only" if spec.template is None else f"template {spec.template.name!r}"
        raise TemplateError(
            f"model {spec.name!r} finds {found}, got template {template.name!r}: "
            "omit the template, or use a model exported with it or with query points"
        )
    return spec.template
