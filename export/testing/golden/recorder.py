"""Recording of one sequence with all intermediate results."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np

from edge_runtime.backends import Backend
from edge_runtime.detector import NetworkDetector
from edge_runtime.face import Face
from edge_runtime.geometry import ROI, Intrinsics
from edge_runtime.observation import Observation
from edge_runtime.options import TrackerOptions
from edge_runtime.spec import DetectorSpec
from edge_runtime.tracker import FaceTracker, Track
from export.testing.golden.scenes import Outputs, Scene, composite

DECIMALS = 6
"""Decimals of outputs and results: a hundredth of the ports' tolerance."""
SAMPLE_STEP = 16
"""Interval of recorded pixels, which show the difference if a checksum differs."""
MIN_SCORE = 0.05
"""Score below which detector cells are recorded as empty."""

Json = dict[str, Any]


class SceneBackend(Backend, Protocol):
    """Backend that is told the number of the frame."""

    frame: int


class Recorder:
    """Backend whose outputs are rounded as recorded, so that a replay gets the same."""

    frame = 0

    def __init__(self, backend: Backend, scene: Scene) -> None:
        self.spec, self._backend, self._scene = backend.spec, backend, scene

    def run(self, crop: np.ndarray, query_points: np.ndarray | None = None) -> Outputs:
        """See `Backend.run`."""
        outputs = self._backend.run(crop)
        if isinstance(self.spec, DetectorSpec):
            empty = outputs["scores"] < MIN_SCORE
            outputs = {
                name: np.where(empty if value.ndim == 2 else empty[..., None], 0, value)
                for name, value in outputs.items()
            }
        elif self.frame in self._scene.perturbations:
            outputs = self._scene.perturbations[self.frame](outputs)
        return {name: value.astype(np.float64).round(DECIMALS).astype(np.float32) for name, value in outputs.items()}


def play(scene: Scene, network: SceneBackend, detector: SceneBackend, faces: Sequence[np.ndarray]) -> Json:
    """Track a scene and return it with all results; `faces` are `scenes.cut_faces()`."""
    searches = _RunLog(detector)
    tracker = _Tracker(scene, network, NetworkDetector(searches))
    frames = []
    for number, scene_frame in enumerate(scene.frames):
        network.frame = detector.frame = number
        image = composite(scene.width, scene.height, number, scene_frame.sprites, faces)
        calibration = _begin_calibration(scene.calibrations.get(number), tracker)
        results = tracker.update(image, scene_frame.time)
        sprites = [[sprite.face, sprite.x, sprite.y, sprite.scale] for sprite in scene_frame.sprites]
        frames.append(
            {
                "time": scene_frame.time,
                "sprites": sprites,
                **calibration,
                "searches": [_search(*run) for run in searches.pop()],
                **tracker.pop(),
            }
            | {"faces": [_face(face) for face in results]}
        )
    return {
        "width": scene.width,
        "height": scene.height,
        "max_faces": scene.max_faces,
        "smoothing": scene.smoothing,
        "intrinsics": scene.intrinsics,
        "frames": frames,
    }


def _begin_calibration(seconds: float | None, tracker: FaceTracker) -> Json:
    """Begin a calibration of resting faces and return its record; nothing of a model without expressions."""
    if seconds is None or not tracker.spec.has_expressions:
        return {}
    tracker.calibrate_neutral(seconds)
    return {"calibrate": seconds}


class _RunLog:
    """Backend that logs inputs and outputs."""

    def __init__(self, backend: Backend) -> None:
        self.spec, self._backend, self._runs = backend.spec, backend, list[tuple[np.ndarray, Outputs]]()

    def run(self, crop: np.ndarray, query_points: np.ndarray | None = None) -> Outputs:
        """See `Backend.run`."""
        outputs = self._backend.run(crop)
        self._runs.append((crop, outputs))
        return outputs

    def pop(self) -> list[tuple[np.ndarray, Outputs]]:
        """Return the runs since the last call."""
        runs, self._runs = self._runs, []
        return runs


class _Tracker(FaceTracker):
    """Tracker that records intermediate results."""

    def __init__(self, scene: Scene, network: Backend, detector: NetworkDetector) -> None:
        self._log = _RunLog(network)
        options = TrackerOptions(
            model=self._log, detector=detector, max_faces=scene.max_faces, smoothing=scene.smoothing
        )
        if scene.intrinsics is not None:
            options = dataclasses.replace(options, camera=Intrinsics(*scene.intrinsics))
        super().__init__(options)
        self._runs: list[Json] = []

    def _observe(self, frame: np.ndarray, roi: ROI, intrinsics: Intrinsics) -> Any:
        observation = super()._observe(frame, roi, intrinsics)
        run: Json = {"roi": roi_values(roi), "crop": None, "outputs": None, "observation": None}
        for crop, outputs in self._log.pop():
            run |= {"crop": pixels(crop), "outputs": {name: numbers(value) for name, value in outputs.items()}}
        if observation is not None:
            run["observation"] = {
                "landmarks": numbers(observation.landmarks),
                "rotation": numbers(observation.rotation),
                "mean_sigma": round(observation.mean_sigma, DECIMALS),
                "next_roi": roi_values(observation.next_roi),
                "direction": numbers(observation.direction),
                **_expressions(observation),
            }
        self._runs.append(run)
        return observation

    def pop(self) -> Json:
        """Return the results since the last call."""
        runs, self._runs = self._runs, []
        stats = self.stats
        counts = ("detector_runs", "detections", "lost_count", "rejected_count", "network_runs")
        return {
            "runs": runs,
            "tracks": [_track(track) for track in self._tracks],
            "lost": len(self._lost),
            "rejected": len(self._rejected),
            "stats": {name: getattr(stats, name) for name in counts},
        }


def _track(track: Track) -> list[float]:
    values = track.motion_residual, track.evidence.confidence, track.evidence.uncertainty
    return [track.id, track.age, track.low_confidence_count, *(round(value, DECIMALS) for value in values)]


def _search(image: np.ndarray, outputs: Outputs) -> Json:
    cells = [
        [*cell, *(number for name in ("scores", "rois", "roll") for number in numbers(outputs[name][tuple(cell)]))]
        for cell in np.argwhere(outputs["scores"] > 0).tolist()
    ]
    return {"image": pixels(image), "cells": cells}


def _face(face: Face) -> Json:
    return {
        "id": face.id,
        "state": face.state.value,
        "age": face.age,
        "confidence": round(face.confidence, DECIMALS),
        "landmarks": numbers(face.landmarks),
        "uncertainty": numbers(face.uncertainty),
        "matrix": numbers(face.pose.matrix),
        "angles": numbers(np.array(face.pose.angles)),
        "roi": roi_values(face.roi),
        "direction": numbers(face.direction),
        **_expressions(face),
    }


def _expressions(result: Observation | Face) -> Json:
    """Return expressions in the order of `EXPRESSIONS`, and gaze; nothing of a model without them."""
    if result.expressions is None or result.gaze is None:
        return {}
    values = result.expressions.values() if isinstance(result, Face) else result.expressions
    return {"expressions": numbers(np.array(list(values))), "gaze": numbers(result.gaze)}


def roi_values(roi: ROI) -> list[float]:
    """Return [cx, cy, size, roll], not rounded: crops round coordinates to 1/32 px and must agree."""
    return [float(roi.cx), float(roi.cy), float(roi.size), float(roi.roll)]


def numbers(values: np.ndarray) -> list[float]:
    """Return the values row by row, rounded; NaN becomes null in JSON."""
    flat = np.asarray(values, np.float64).ravel().round(DECIMALS) + 0.0  # no -0.0
    return [None if np.isnan(value) else float(value) for value in flat]  # type: ignore[misc]


def pixels(image: np.ndarray) -> Json:
    """Return the CRC-32 and samples of an (H, W, 3) uint8 RGB image."""
    samples = image[SAMPLE_STEP // 2 :: SAMPLE_STEP, SAMPLE_STEP // 2 :: SAMPLE_STEP]
    return {"crc": zlib.crc32(image.tobytes()), "samples": samples.ravel().tolist()}


def rgb(image: np.ndarray) -> np.ndarray:
    """Convert BGR to RGB."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
