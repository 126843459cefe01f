"""Overhead of a tracked frame over its network: crop, checks, decoding, pose, motion, identity, smoothing.

The tracker's own `update` is timed on a swaying rendered face, and the network's time is subtracted, so that every part
runs with the caches as the network leaves them. Each part alone in a loop takes a fraction of that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.clip import EMPTY_FRAMES, PERIOD, SIZE, frame_at, rendered_face
from benchmarks.timing import clock_for
from edge_runtime import ROI, FaceTracker, TrackerOptions
from edge_runtime.backends import Backend

SCENES = {"far": (1, 0.467), "near": (1, 0.667), "three": (3, 0.467)}
"""Number of faces, side by side, and their scale, by name. The near face fills more than twice the network's input, so
that the crop rule samples four times as many pixels."""
FACE_SIZE = 390.0
"""Side of the ROI of a face at scale 1, pixels."""


@dataclass(frozen=True)
class FrameTimes:
    """Milliseconds of consecutive tracked frames."""

    roi_size: float
    """Median side of the crop's ROI, frame pixels."""
    network: list[float]
    """Time of the network, for all faces."""
    overhead: list[float]
    """Time of everything else."""


def frame_times(backend: Backend, scene: str, runs: int) -> FrameTimes:
    """Track `runs` frames of a scene after a warm-up of a tenth as many.

    Raise ValueError if the model does not track the rendered faces.
    """
    faces, scale = SCENES[scene]
    clock = clock_for(1)
    network = _TimedBackend(backend, clock)
    tracker = FaceTracker(TrackerOptions(model=network, detector=_FixedDetector(faces, scale), max_faces=faces))
    width, height = SIZE
    shrink = np.array([[scale, 0, (1 - scale) * width / 2], [0, scale, (1 - scale) * height / 2]])
    face = cv2.warpAffine(rendered_face(), shrink, SIZE, borderMode=cv2.BORDER_REPLICATE)
    samples = []
    for number in range(runs + max(2, runs // 10)):
        frame = np.hstack([frame_at(face, number % (PERIOD - EMPTY_FRAMES))] * faces)
        network.spent, began = 0.0, clock()
        found = tracker.update(frame, number / 30)
        whole = clock() - began
        if len(found) == faces and all(face.age for face in found):
            samples.append((found[0].roi.size, network.spent * 1e3, (whole - network.spent) * 1e3))
    if not samples:
        raise ValueError(f"model {backend.spec.name!r} does not track the rendered faces; give a trained one")
    roi_sizes, inside, overhead = np.array(samples[-runs:]).T.tolist()
    return FrameTimes(float(np.median(roi_sizes)), inside, overhead)


class _TimedBackend:
    """A backend that sums up its time in seconds."""

    def __init__(self, backend: Backend, clock: Callable[[], float]) -> None:
        self.spec, self.spent = backend.spec, 0.0
        self._backend, self._clock = backend, clock

    def run(self, crop: np.ndarray, query_points: np.ndarray | None = None) -> dict[str, np.ndarray]:
        began = self._clock()
        outputs = self._backend.run(crop, query_points)
        self.spent += self._clock() - began
        return outputs


class _FixedDetector:
    """A detector that returns the known places of the faces."""

    def __init__(self, faces: int, scale: float) -> None:
        width, height = SIZE
        self._rois = [ROI((i + 0.5) * width, height / 2, FACE_SIZE * scale) for i in range(faces)]

    def detect(self, frame: np.ndarray) -> list[ROI]:
        return self._rois
