"""What a tracked frame costs beside its network: crop, checks, decode, pose, motion, identity, smoothing.

The tracker's own `update` is timed on a swaying rendered face and the network's share of it taken out, so that every
part runs with the caches as the network leaves them. Each part alone in a loop takes a fraction of that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.clip import AWAY, PERIOD, SIZE, frame_at, rendered_face
from edge_runtime import ROI, FaceTracker
from edge_runtime.backends import Backend

SCENES = {"far": (1, 0.7), "near": (1, 1.0), "three": (3, 0.7)}
"""Name to how many faces, side by side, and their scale. The near one fills more than twice the network's input, which
makes the crop rule sample four times as many pixels."""
FACE_SIZE = 260.0
"""Side of the region that the crop rule cuts for the face of scale 1, pixels."""


@dataclass(frozen=True)
class FrameTimes:
    """Milliseconds of tracked frames, one after the other."""

    region: float
    """Median side of the crop's region, pixels of the frame."""
    network: list[float]
    """Of that the network's, for all faces."""
    around: list[float]
    """Everything but the network."""


def clock_for(threads: int) -> Callable[[], float]:
    """Seconds: of one thread its processor time, an idle machine's seconds on a busy one, too; else the wall's."""
    return time.thread_time if threads == 1 else time.perf_counter


def frame_times(backend: Backend, scene: str, runs: int, threads: int = 1) -> FrameTimes:
    """Track so many frames of a scene, a tenth as many before them to warm up.

    ValueError for a model that does not hold the rendered faces.
    """
    faces, scale = SCENES[scene]
    clock = clock_for(threads)
    network = _Stopwatch(backend, clock)
    tracker = FaceTracker(backend=network, detector=_Known(faces, scale), max_faces=faces)
    width, height = SIZE
    shrink = np.array([[scale, 0, (1 - scale) * width / 2], [0, scale, (1 - scale) * height / 2]])
    face = cv2.warpAffine(rendered_face(), shrink, SIZE, borderMode=cv2.BORDER_REPLICATE)
    samples = []
    for number in range(runs + max(2, runs // 10)):
        frame = np.hstack([frame_at(face, number % (PERIOD - AWAY))] * faces)
        network.spent, began = 0.0, clock()
        found = tracker.update(frame, number / 30)
        whole = clock() - began
        if len(found) == faces and all(face.age for face in found):
            samples.append((found[0].roi.size, network.spent * 1e3, (whole - network.spent) * 1e3))
    if not samples:
        raise ValueError(f"the model {backend.spec.name} does not hold the rendered faces; time a trained one")
    regions, inside, around = np.array(samples[-runs:]).T.tolist()
    return FrameTimes(float(np.median(regions)), inside, around)


class _Stopwatch:
    """A backend that sums up the seconds it runs."""

    def __init__(self, backend: Backend, clock: Callable[[], float]) -> None:
        self.spec, self.spent = backend.spec, 0.0
        self._backend, self._clock = backend, clock

    def run(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        began = self._clock()
        outputs = self._backend.run(crop)
        self.spent += self._clock() - began
        return outputs


class _Known:
    """A detector that knows where the faces are."""

    def __init__(self, faces: int, scale: float) -> None:
        width, height = SIZE
        self._regions = [ROI((i + 0.5) * width, height / 2, FACE_SIZE * scale) for i in range(faces)]

    def detect(self, frame: np.ndarray) -> list[ROI]:
        return self._regions
