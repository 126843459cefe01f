"""Detectors, and what each finds in a picture alone and as the tracking loop takes it on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.inputs import model_files
from benchmarks.timing import timed
from edge_runtime import Face, FaceTracker, TrackerOptions
from edge_runtime.backends import Backend
from edge_runtime.detector import CascadeDetector, Detector, MediaPipeDetector, NetworkDetector, YuNetDetector
from edge_runtime.geometry import ROI
from edge_runtime.spec import DetectorSpec, read_spec

Scored = list[tuple[float, ROI]]
"""(score, ROI) pairs, best first."""
MIN_SCORE = 0.05
"""Minimum score of a network's detections that count for average precision."""
YUNET, MEDIAPIPE = "yunet*.onnx", "*face_detection_short_range*.tflite"


@dataclass(frozen=True)
class NamedDetector:
    """A detector at its default threshold, and its scores below it."""

    name: str
    detector: Detector
    scored: Callable[[np.ndarray], Scored]
    """Maps (H, W, 3) uint8 BGR to all detections in the whole frame, without tiles."""


@dataclass(frozen=True)
class SearchResult:
    """What one detector finds in one picture."""

    rois: Sequence[ROI]
    """Its detections at its default threshold, with tiles where it has them."""
    faces: Sequence[Face]
    """Those that the tracking network confirms: `FaceTracker.detect`."""
    milliseconds: tuple[float, float]
    """Processor time of one thread: of the detector alone, and of the whole search."""


class Searcher:
    """A detector in the loop."""

    def __init__(self, named: NamedDetector, network: Backend) -> None:
        self.name = named.name
        self._recorder = _Recorder(named.detector)
        self._tracker = FaceTracker(TrackerOptions(model=network, detector=self._recorder))

    def search(self, frame: np.ndarray) -> SearchResult:
        """Find the faces in an (H, W, 3) uint8 BGR picture."""
        spent, faces = timed(partial(self._tracker.detect, frame))
        return SearchResult(self._recorder.found, faces, (self._recorder.milliseconds, spent))


class _Recorder:
    """A detector whose last result is kept, so that the loop's search also shows the detector's own."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.found: list[ROI] = []
        self.milliseconds = 0.0

    def detect(self, frame: np.ndarray) -> list[ROI]:
        self.milliseconds, self.found = timed(partial(self._detector.detect, frame))
        return self.found


def open_detectors(
    models: Path, baselines: Path, mediapipe: Path | None = None
) -> tuple[list[NamedDetector], list[str]]:
    """Return our files, TFLite first, the cascades, and available baselines; and a note for each that is left out.

    Raises:
        FileNotFoundError: `models` has no model file, or `mediapipe` does not exist.
        ModelFileError: A baseline's file is another model.
    """
    found, notes = [], []
    for path in sorted(model_files(models), key=lambda path: (path.suffix != ".tflite", path.name)):
        if isinstance(read_spec(path), DetectorSpec):
            ours = NetworkDetector(path)
            found.append(NamedDetector(path.name, ours, partial(ours.scored, threshold=MIN_SCORE)))
    if not found:
        notes.append(f"Left out: our detector, no file in {models}; run `make export-tflite`.")
    cascades = CascadeDetector()
    found.append(NamedDetector("cascades", cascades, cascades.scored))
    yunets = sorted(baselines.glob(YUNET))
    for path in yunets:
        yunet = YuNetDetector(path)
        found.append(NamedDetector(path.name, yunet, yunet.scored))
    if not yunets:
        notes.append(f"Left out: YuNet, no {YUNET} in {baselines}.")
    if mediapipe is None:
        mediapipe = next(iter(sorted(baselines.glob(MEDIAPIPE))), None)
    if mediapipe is None:
        notes.append(f"Left out: MediaPipe's detector, no {MEDIAPIPE} in {baselines}; give it by --mediapipe.")
    else:
        blazeface = MediaPipeDetector(mediapipe)
        found.append(NamedDetector("MediaPipe", blazeface, blazeface.scored))
    return found, notes
