"""`python -m atpn detectors`: which faces of AFW's photographs detectors find, at how many false alarms."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from atpn.data.afw import Photo, read_afw
from atpn.train.detectors import DETECTION_IOU, YuNetDetector
from edge_runtime.backends import Backend, load_backend
from edge_runtime.detector import CascadeDetector, NetworkDetector
from edge_runtime.files import write_atomically
from edge_runtime.geometry import ROI, extract_crop, upright_roll
from edge_runtime.tracker import MIN_ROI_SIZE, REFINEMENTS

Scored = CascadeDetector | NetworkDetector | YuNetDetector
SMALLEST = 40.0
"""Pixels of the landmarks' longer extent below which a face need not be found."""
FALSE_ALARMS = (10, 20, 50, 100)
"""Over all photographs. AFW's labels leave out some faces, which count as false alarms for every detector alike."""
LOWEST_SCORE = 0.05
MOST_VERIFIED = 12
"""Candidates per photograph that the tracking network looks at."""


@dataclass(frozen=True)
class DetectorsConfig:
    """Options of `detectors`."""

    afw: Path
    """Folder with AFW's labels.json and images."""
    detectors: tuple[str, ...] = ("dist/detector_fp32.tflite", "cascade")
    """`cascade`, exported detectors of ours (.tflite), YuNet .onnx files."""
    model: Path | None = Path("dist/atpn_fp32.tflite")
    """Exported tracking network that judges the candidates, as it does in the tracker; none: the detectors alone."""
    out: Path | None = None
    """JSON report."""


@dataclass(frozen=True)
class Recall:
    """One detector, alone or with the tracking network's judgement."""

    detector: str
    verified: bool
    faces: int
    recall: dict[str, float]
    """At the number of false alarms over all photographs; `any` is without a limit."""
    milliseconds: float
    """Median of a photograph on this machine, the judgement left out."""


def run(config: DetectorsConfig) -> list[Recall]:
    """Measure, print, and with `out` write; FileNotFoundError or ValueError name what is missing."""
    cv2.setNumThreads(1)
    photos = list(read_afw(config.afw))
    judge = None if config.model is None else load_backend(config.model)
    results = []
    for name in config.detectors:
        detector = open_detector(name)
        found, times = [], []
        for photo in photos:
            frame = np.ascontiguousarray(photo.image[:, :, ::-1])
            began = time.perf_counter()
            found.append(_scored(detector, frame))
            times.append((time.perf_counter() - began) * 1e3)
        spent = float(np.median(times))
        results.append(recall_of(Path(name).name, False, photos, found, spent))
        if judge is not None:
            judged = [verified(judge, photo, rois) for photo, rois in zip(photos, found, strict=True)]
            results.append(recall_of(Path(name).name, True, photos, judged, spent))
    print(recall_table(results))
    if config.out is not None:
        write_atomically(config.out, (json.dumps([asdict(r) for r in results], indent=1) + "\n").encode())
    return results


def open_detector(name: str) -> Scored:
    """By the look of its name; ValueError or OSError say what is wrong with it."""
    if name == "cascade":
        return CascadeDetector()
    return NetworkDetector(name) if name.endswith(".tflite") else YuNetDetector(Path(name))


def _scored(detector: Scored, frame: np.ndarray) -> list[tuple[float, ROI]]:
    return detector.scored(frame, LOWEST_SCORE) if isinstance(detector, NetworkDetector) else detector.scored(frame)


def verified(judge: Backend, photo: Photo, found: Sequence[tuple[float, ROI]]) -> list[tuple[float, ROI]]:
    """The candidates as the tracker takes them on: refined twice, scored by the network's confidence, no face twice."""
    spec, judged = judge.spec, []
    for _, candidate in found[:MOST_VERIFIED]:
        roi, score = candidate, 0.0
        for step in range(1 + REFINEMENTS):
            outputs = judge.run(extract_crop(photo.image, roi, spec.input_size))
            landmarks = roi.to_frame(outputs["landmarks"])
            uncertain = float(outputs["uncertainty"].mean()) > spec.most_uncertain
            score = 0.0 if uncertain else float(outputs["confidence"][0])
            if np.ptp(landmarks, axis=0).max() < MIN_ROI_SIZE:
                break
            roll = upright_roll(landmarks, spec.mean_shape) if step < REFINEMENTS else 0.0
            roi = ROI.from_landmarks(landmarks, roll)
        judged.append((score, roi))
    kept: list[tuple[float, ROI]] = []
    for score, roi in sorted(judged, key=lambda pair: -pair[0]):
        if score > 0 and all(roi.iou(other) < DETECTION_IOU for _, other in kept):
            kept.append((score, roi))
    return kept


def recall_of(
    name: str, is_verified: bool, photos: Sequence[Photo], found: Sequence[list[tuple[float, ROI]]], spent: float
) -> Recall:
    """Match regions with faces, best first and each face once, and read recall off the ordered scores."""
    scores, hits, faces = [], [], 0
    for photo, pairs in zip(photos, found, strict=True):
        truths = [ROI.from_landmarks(face) for face in photo.faces]
        wanted = [float(np.ptp(face, axis=0).max()) >= SMALLEST for face in photo.faces]
        faces += sum(wanted)
        free = set(range(len(truths)))
        for score, roi in pairs:
            overlaps = {index: roi.iou(truths[index]) for index in range(len(truths))}
            best = max(free, key=lambda index: overlaps[index], default=None)
            if best is not None and overlaps[best] >= DETECTION_IOU:
                free.discard(best)
                if wanted[best]:
                    scores.append(score)
                    hits.append(True)
            elif max(overlaps.values(), default=0.0) < DETECTION_IOU:
                scores.append(score)
                hits.append(False)
    order = np.argsort(-np.array(scores), kind="stable")
    right = np.array(hits, bool)[order]
    alarms, seen = np.cumsum(~right), np.cumsum(right)
    recall = {}
    for most in FALSE_ALARMS:
        within = np.searchsorted(alarms, most, side="right")
        recall[str(most)] = float(seen[within - 1]) / faces if within else 0.0
    recall["any"] = float(right.sum()) / faces
    return Recall(name, is_verified, faces, recall, spent)


def recall_table(results: Sequence[Recall]) -> str:
    """One line per detector."""
    limits = list(results[0].recall)
    lines = [f"{'detector':28} {'judged':>7} {'ms':>7} " + " ".join(f"{'FP ' + limit:>7}" for limit in limits)]
    for result in results:
        cells = " ".join(f"{100 * result.recall[limit]:7.1f}" for limit in limits)
        lines.append(f"{result.detector:28} {'yes' if result.verified else '':>7} {result.milliseconds:7.1f} {cells}")
    lines.append(
        f"recall, %, of {results[0].faces} faces of at least {SMALLEST:.0f} px at so many false alarms in all; "
        "judged: by the tracking network, as in the tracker"
    )
    return "\n".join(lines)
