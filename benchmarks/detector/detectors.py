"""Detectors with scores, and verification of their detections by the tracking network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from atpn.evaluate.detectors import SCORE_THRESHOLD, YuNetDetector
from benchmarks.inputs import model_files
from edge_runtime.backends import Backend
from edge_runtime.detector import NMS_IOU_THRESHOLD, CascadeDetector, NetworkDetector
from edge_runtime.geometry import ROI, extract_crop, upright_roll
from edge_runtime.spec import DetectorSpec, read_spec
from edge_runtime.tracker import MIN_ROI_SIZE, REFINEMENTS

Scored = list[tuple[float, ROI]]
"""(score, ROI) pairs, best first."""
MIN_SCORE = 0.05
"""Minimum score of a network's detections that count for average precision."""
YUNET, BLAZEFACE = "yunet*.onnx", "blazeface.pth"


@dataclass(frozen=True)
class ScoredDetector:
    """A detector that returns scores."""

    name: str
    scored: Callable[[np.ndarray], Scored]
    """Maps (H, W, 3) uint8 BGR to all detections."""
    threshold: float
    """Default minimum score of a detection."""


def open_detectors(models: Path, baselines: Path) -> tuple[list[ScoredDetector], list[str]]:
    """Return our files, TFLite first, the cascade, and available baselines; and a note for each that is left out."""
    found, notes = [], []
    for path in sorted(model_files(models), key=lambda path: (path.suffix != ".tflite", path.name)):
        spec = read_spec(path)
        if isinstance(spec, DetectorSpec):
            scored = partial(NetworkDetector(path).scored, threshold=MIN_SCORE)
            found.append(ScoredDetector(path.name, scored, spec.track_threshold))
    if not found:
        notes.append(f"Left out: our detector, no file in {models}; run `make export-tflite`.")
    found.append(ScoredDetector("cascade", CascadeDetector().scored, 0.0))
    yunets = sorted(baselines.glob(YUNET))
    found += [ScoredDetector(path.name, YuNetDetector(path).scored, SCORE_THRESHOLD) for path in yunets]
    if not yunets:
        notes.append(f"Left out: YuNet, no {YUNET} in {baselines}.")
    if (baselines / BLAZEFACE).is_file():
        notes.append(f"Left out: BlazeFace, {BLAZEFACE} contains weights without the network.")
    return found, notes


def verify(verifier: Backend, image: np.ndarray, candidate: ROI) -> tuple[float, ROI]:
    """Refine a detection twice as the tracker does, and score it by the tracking network's confidence.

    `image` is (H, W, 3) uint8 RGB. The score is 0 if the network is too uncertain or the ROI too small.
    """
    spec, roi, score = verifier.spec, candidate, 0.0
    for step in range(1 + REFINEMENTS):
        outputs = verifier.run(extract_crop(image, roi, spec.input_size))
        landmarks = roi.to_frame(outputs["landmarks"])
        uncertain = float(outputs["uncertainty"].mean()) > spec.uncertainty_threshold
        score = 0.0 if uncertain else float(outputs["confidence"][0])
        if np.ptp(landmarks, axis=0).max() < MIN_ROI_SIZE:
            return 0.0, roi
        # The last ROI is compared with the labels', which have roll 0.
        roi = ROI.from_landmarks(landmarks, upright_roll(landmarks, spec.mean_shape) if step < REFINEMENTS else 0.0)
    return score, roi


def remove_duplicates(found: Sequence[tuple[float, ROI]]) -> Scored:
    """Return verified detections without rejected ones and duplicates of a face."""
    kept: Scored = []
    for score, roi in sorted(found, key=lambda pair: -pair[0]):
        if score > 0 and all(roi.iou(other) < NMS_IOU_THRESHOLD for _, other in kept):
            kept.append((score, roi))
    return kept
