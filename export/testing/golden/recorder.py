"""One sequence through the runtime, with everything that it works out on the way."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from edge_runtime.backends import Backend
from edge_runtime.detector import NetworkDetector
from edge_runtime.face import Face
from edge_runtime.geometry import ROI, Intrinsics
from edge_runtime.spec import ModelSpec
from edge_runtime.tracker import FaceTracker
from export.testing.golden.scenes import Moment, Outputs, Paste, Scene, paint

DECIMALS = 6
"""Of outputs and results: a hundredth of what ports may be off by."""
SAMPLE_STEP = 16
"""Every so many pixels of a picture its values are written down, to see how far off one is whose checksum differs."""
LEAST_SCORE = 0.05
"""Detector cells below are recorded as empty; nothing reads them."""

Json = dict[str, Any]


class Recorder:
    """A backend whose outputs are rounded to what is written down, so that a replay gets the very same."""

    def __init__(self, backend: Backend, scene: Scene) -> None:
        self.spec = backend.spec
        self.frame = 0
        self._backend, self._scene = backend, scene

    def run(self, crop: np.ndarray) -> Outputs:
        """See `Backend.run`."""
        outputs = self._backend.run(crop)
        if self.frame in self._scene.disturbed and not self.spec.is_detector:
            outputs = self._scene.disturbed[self.frame](outputs)
        if self.spec.is_detector:
            empty = outputs["scores"] < LEAST_SCORE
            outputs = {
                name: np.where(empty if value.ndim == 2 else empty[..., None], 0, value)
                for name, value in outputs.items()
            }
        return {name: value.astype(np.float64).round(DECIMALS).astype(np.float32) for name, value in outputs.items()}

    def prompt(self, points: np.ndarray) -> None:
        """Nothing here has prompts."""


class Replayer:
    """A backend that gives recorded outputs in their order."""

    def __init__(self, spec: ModelSpec, outputs: Iterator[Outputs]) -> None:
        self.spec = spec
        self.frame = 0
        self._outputs = outputs

    def run(self, crop: np.ndarray) -> Outputs:
        """See `Backend.run`."""
        return next(self._outputs)

    def prompt(self, points: np.ndarray) -> None:
        """Nothing here has prompts."""


def play(
    scene: Scene, network: Recorder | Replayer, detector: Recorder | Replayer, faces: Sequence[np.ndarray]
) -> Json:
    """Track the sequence and return it with the results; `faces` are `scenes.cut_faces()`."""
    watched = _Watched(detector)
    tracker = _Tracker(scene, network, NetworkDetector(watched))
    frames = []
    for number, moment in enumerate(scene.moments):
        network.frame = detector.frame = number
        picture = paint(scene.width, scene.height, number, moment.pastes, faces)
        found = tracker.update(picture, moment.time)
        pastes = [[paste.face, paste.x, paste.y, paste.scale] for paste in moment.pastes]
        frames.append(
            {"time": moment.time, "pastes": pastes, "searches": watched.taken(), **tracker.taken()}
            | {"faces": [_face(face) for face in found]}
        )
    return {
        "width": scene.width,
        "height": scene.height,
        "max_faces": scene.max_faces,
        "smoothing": scene.smoothing,
        "intrinsics": scene.intrinsics,
        "frames": frames,
    }


def scene_of(name: str, document: Json) -> Scene:
    """Return the sequence of a document."""
    moments = [Moment(frame["time"], tuple(Paste(*paste) for paste in frame["pastes"])) for frame in document["frames"]]
    camera = document["intrinsics"]
    return Scene(
        name,
        document["width"],
        document["height"],
        moments,
        document["max_faces"],
        document["smoothing"],
        None if camera is None else tuple(camera),
    )


def network_outputs(document: Json, spec: ModelSpec) -> Iterator[Outputs]:
    """Yield the tracking network's outputs in order."""
    for frame in document["frames"]:
        for run in frame["runs"]:
            if run["outputs"] is not None:
                yield {
                    name: np.array(run["outputs"][name], np.float32).reshape(shape)  # null becomes NaN
                    for name, shape in spec.outputs.items()
                }


def detector_outputs(document: Json, spec: ModelSpec) -> Iterator[Outputs]:
    """Yield the detector's outputs in order."""
    for frame in document["frames"]:
        for search in frame["searches"]:
            outputs = {name: np.zeros(shape, np.float32) for name, shape in spec.outputs.items()}
            for row, column, score, *region in search["cells"]:
                outputs["scores"][row, column], outputs["regions"][row, column] = score, region
            yield outputs


class _Watched:
    """A detector's backend that writes down what it saw."""

    def __init__(self, backend: Recorder | Replayer) -> None:
        self.spec = backend.spec
        self._backend, self._looks = backend, list[Json]()

    def run(self, picture: np.ndarray) -> Outputs:
        """See `Backend.run`."""
        outputs = self._backend.run(picture)
        cells = [
            [int(row), int(column), *numbers(outputs["scores"][row, column]), *numbers(outputs["regions"][row, column])]
            for row, column in np.argwhere(outputs["scores"] > 0)
        ]
        self._looks.append({"picture": pixels(picture), "cells": cells})
        return outputs

    def prompt(self, points: np.ndarray) -> None:
        """Do nothing: a detector has no prompts."""

    def taken(self) -> list[Json]:
        """Return and clear what was recorded."""
        looks, self._looks = self._looks, []
        return looks


class _Tracker(FaceTracker):
    """A tracker that writes down what it works out."""

    def __init__(self, scene: Scene, network: Backend, detector: NetworkDetector) -> None:
        camera = None if scene.intrinsics is None else Intrinsics(*scene.intrinsics)
        super().__init__(None, detector, scene.max_faces, scene.smoothing, camera, backend=_Kept(network))
        self._runs: list[Json] = []

    def _observe(self, frame: np.ndarray, roi: ROI, intrinsics: Intrinsics) -> Any:
        seen = super()._observe(frame, roi, intrinsics)
        run: Json = {"roi": region(roi), "crop": None, "outputs": None, "seen": None}
        kept = self._backend
        assert isinstance(kept, _Kept)
        if (last := kept.taken()) is not None:
            crop, outputs = last
            run |= {"crop": pixels(crop), "outputs": {name: numbers(value) for name, value in outputs.items()}}
        if seen is not None:
            run["seen"] = {
                "landmarks": numbers(seen.landmarks),
                "rotation": numbers(seen.rotation),
                "spread": round(seen.spread, DECIMALS),
                "next_roi": region(seen.next_roi),
                "direction": numbers(seen.direction),
            }
        self._runs.append(run)
        return seen

    def taken(self) -> Json:
        """Return and clear what was recorded."""
        runs, self._runs = self._runs, []
        stats = self.stats
        counts = ("detector_runs", "detections", "losses", "network_runs")
        return {
            "runs": runs,
            "tracks": [[t.id, t.age, t.doubts, round(t.surprise, DECIMALS)] for t in self._tracks],
            "lost": len(self._lost),
            "stats": {name: getattr(stats, name) for name in counts},
        }


class _Kept:
    """A backend that keeps its last run."""

    def __init__(self, backend: Backend) -> None:
        self.spec = backend.spec
        self._backend = backend
        self._last: tuple[np.ndarray, Outputs] | None = None

    def run(self, crop: np.ndarray) -> Outputs:
        """See `Backend.run`."""
        outputs = self._backend.run(crop)
        self._last = crop, outputs
        return outputs

    def prompt(self, points: np.ndarray) -> None:
        """Nothing here has prompts."""

    def taken(self) -> tuple[np.ndarray, Outputs] | None:
        """Return and clear the last crop and its outputs."""
        last, self._last = self._last, None
        return last


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
        "roi": region(face.roi),
        "direction": numbers(face.direction),
    }


def region(roi: ROI) -> list[float]:
    """[cx, cy, size, roll], unrounded: a crop's places are rounded to 1/32 px, and must fall to the same side."""
    return [float(roi.cx), float(roi.cy), float(roi.size), float(roi.roll)]


def numbers(values: np.ndarray) -> list[float]:
    """Row by row, rounded; what is no number becomes null in JSON."""
    flat = np.asarray(values, np.float64).ravel().round(DECIMALS) + 0.0  # no -0.0
    return [None if np.isnan(value) else float(value) for value in flat]  # type: ignore[misc]


def pixels(picture: np.ndarray) -> Json:
    """Return the CRC-32 of an (H, W, 3) uint8 RGB image's bytes, and samples."""
    samples = picture[SAMPLE_STEP // 2 :: SAMPLE_STEP, SAMPLE_STEP // 2 :: SAMPLE_STEP]
    return {"crc": zlib.crc32(picture.tobytes()), "samples": samples.ravel().tolist()}


def rgb(picture: np.ndarray) -> np.ndarray:
    """BGR to RGB."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
