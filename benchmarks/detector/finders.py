"""Detectors with scores, and the tracking network as their judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from atpn.evaluate.detectors import SCORE, YuNetDetector
from benchmarks.inputs import model_files
from edge_runtime.backends import Backend
from edge_runtime.detector import NMS_IOU_THRESHOLD, CascadeDetector, NetworkDetector
from edge_runtime.geometry import ROI, extract_crop, upright_roll
from edge_runtime.spec import ModelSpec
from edge_runtime.tracker import MIN_ROI_SIZE, REFINEMENTS

Scored = list[tuple[float, ROI]]
"""(score, region) pairs, best first."""
LOWEST_SCORE = 0.05
"""From which a network's regions count for average precision."""
YUNET, BLAZEFACE = "yunet*.onnx", "blazeface.pth"


@dataclass(frozen=True)
class Finder:
    """One detector."""

    name: str
    scored: Callable[[np.ndarray], Scored]
    """(H, W, 3) uint8 BGR to every region that it can give."""
    threshold: float
    """Score from which it gives regions when used as it comes."""


def finders(models: Path, peers: Path) -> tuple[list[Finder], list[str]]:
    """Our files, TFLite first, the cascade, and the peers that are there; and a sentence for each that is left out."""
    found, notes = [], []
    for path in sorted(model_files(models), key=lambda path: (path.suffix != ".tflite", path.name)):
        spec = ModelSpec.read(path)
        if spec.is_detector:
            detector = NetworkDetector(path)
            found.append(Finder(path.name, partial(detector.scored, threshold=LOWEST_SCORE), spec.track_threshold))
    if not found:
        notes.append(f"Left out: our detector, no file in {models}; `make export-tflite` makes some.")
    found.append(Finder("cascade", CascadeDetector().scored, 0.0))
    yunets = sorted(peers.glob(YUNET))
    found += [Finder(path.name, YuNetDetector(path).scored, SCORE) for path in yunets]
    if not yunets:
        notes.append(f"Left out: YuNet, no {YUNET} in {peers}.")
    if (peers / BLAZEFACE).is_file():
        notes.append(f"Left out: BlazeFace, {BLAZEFACE} holds weights without the network that they belong to.")
    return found, notes


def judged(judge: Backend, image: np.ndarray, candidate: ROI) -> tuple[float, ROI]:
    """A candidate as the tracker takes it on: refined twice, scored by the tracking network's confidence.

    `image` is (H, W, 3) uint8 RGB. Score 0 where the network is too uncertain or the region too small.
    """
    spec, roi, score = judge.spec, candidate, 0.0
    for step in range(1 + REFINEMENTS):
        outputs = judge.run(extract_crop(image, roi, spec.input_size))
        landmarks = roi.to_frame(outputs["landmarks"])
        uncertain = float(outputs["uncertainty"].mean()) > spec.uncertainty_threshold
        score = 0.0 if uncertain else float(outputs["confidence"][0])
        if np.ptp(landmarks, axis=0).max() < MIN_ROI_SIZE:
            return 0.0, roi
        # The last region is compared with the labels', which have roll 0.
        roi = ROI.from_landmarks(landmarks, upright_roll(landmarks, spec.mean_shape) if step < REFINEMENTS else 0.0)
    return score, roi


def distinct(found: Sequence[tuple[float, ROI]]) -> Scored:
    """What is left of judged regions: no refused one, and no face twice."""
    kept: Scored = []
    for score, roi in sorted(found, key=lambda pair: -pair[0]):
        if score > 0 and all(roi.iou(other) < NMS_IOU_THRESHOLD for _, other in kept):
            kept.append((score, roi))
    return kept
