"""Detectors for evaluation: the runtime's own, or a YuNet file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from atpn.data.face_boxes import box_of, roi_of_box
from atpn.data.sample import Sample
from edge_runtime.detector import CascadeDetector, Detector, NetworkDetector
from edge_runtime.geometry import ROI

DETECTION_SIZE = 640
"""Long side in pixels of the searched image: YuNet was trained at 640 (Wu et al., 2023)."""
SCORE_THRESHOLD = 0.5
"""Low, because the network rejects false alarms."""
MIN_SCORE = 0.05
NMS_IOU_THRESHOLD = 0.3
DETECTION_IOU = 0.3
"""Minimum IoU of a detected ROI with the true one: from there the tracking network finds the face."""


class YuNetDetector:
    """OpenCV's FaceDetectorYN with a YuNet .onnx file."""

    def __init__(self, path: Path) -> None:
        """Load the file; FileNotFoundError or ValueError if it is missing or invalid."""
        if not path.is_file():
            raise FileNotFoundError(f"no detector file at {path}; give `cascade`, `none` or a YuNet .onnx file")
        try:
            self._net = cv2.FaceDetectorYN.create(str(path), "", (320, 320), MIN_SCORE, NMS_IOU_THRESHOLD)
            self._net.detect(np.zeros((320, 320, 3), np.uint8))
        except cv2.error as error:
            raise ValueError(f"{path} is not a YuNet model that OpenCV {cv2.__version__} reads: {error.err}") from error

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """See `edge_runtime.detector.Detector.detect`."""
        return [roi for score, roi in self.scored(frame) if score >= SCORE_THRESHOLD]

    def scored(self, frame: np.ndarray) -> list[tuple[float, ROI]]:
        """Return (score, ROI) pairs, best first."""
        height, width = frame.shape[:2]
        scale = min(1.0, DETECTION_SIZE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        self._net.setInputSize(size)
        _, found = self._net.detect(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
        rows = [] if found is None else sorted(found, key=lambda row: -row[14])
        return [(float(row[14]), roi_from_yunet_box(row[:4] / scale)) for row in rows]


def roi_from_yunet_box(box: np.ndarray) -> ROI:
    """Convert a YuNet box (x, y, width, height) in pixels to an ROI by the crop rule."""
    x, y, width, height = map(float, box)
    return roi_of_box(box_of(x, y, width, height))  # YuNet learned WIDER FACE's boxes


def make_detector(name: str) -> Detector | None:
    """Return the detector of this name (see `EvaluateConfig`), None for `none`; ValueError for unknown ones."""
    if name == "none":
        return None
    if name == "cascade":
        return CascadeDetector()
    if name.endswith(".tflite"):
        return NetworkDetector(name)
    if not name.endswith(".onnx"):
        raise ValueError(
            f"unknown detector {name!r}; give `cascade`, `none`, an exported detector's .tflite or a YuNet .onnx file"
        )
    return YuNetDetector(Path(name))


def detect_rois(samples: Iterable[Sample], detector: Detector) -> list[ROI | None]:
    """Return the best-fitting detected ROI for each sample's face; None for a miss.

    Samples that share an image must be consecutive, so that it is searched once.
    """
    regions: list[ROI | None] = []
    searched, candidates = None, []
    for sample in samples:
        if sample.image is not searched:
            searched = sample.image
            candidates = detector.detect(np.ascontiguousarray(searched[:, :, ::-1]))
        ground_truth = ROI.from_landmarks(sample.landmarks)
        best = max(candidates, key=ground_truth.iou, default=None)
        regions.append(best if best is not None and ground_truth.iou(best) >= DETECTION_IOU else None)
    return regions
