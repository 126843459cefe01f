"""Face detection by a YuNet file (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023) in OpenCV."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.backends import warn_unchecked
from edge_runtime.detector.detection import NMS_IOU_THRESHOLD, roi_of_face_box
from edge_runtime.errors import ModelFileError, first_line
from edge_runtime.geometry import ROI
from edge_runtime.reading import MAX_MODEL_BYTES, read_bytes

SEARCH_SIZE = 640
"""Longer side of the searched image, pixels: what YuNet was trained at."""
SCORE_THRESHOLD = 0.5
"""Minimum score of a detection; low, because the tracking network rejects false ones."""
MIN_SCORE = 0.05
"""Minimum score of what `scored` returns."""


class YuNetDetector:
    """OpenCV's FaceDetectorYN with a YuNet .onnx file."""

    def __init__(self, path: Path | str) -> None:
        """Load the file. FileNotFoundError or ModelFileError if it is missing or another model."""
        if not Path(path).exists():
            raise FileNotFoundError(f"no YuNet file at {path}; give the .onnx file of OpenCV's model zoo")
        # OpenCV takes arrays of bytes only.
        content = np.frombuffer(read_bytes(path, MAX_MODEL_BYTES, ModelFileError), np.uint8)
        nothing = np.zeros(0, np.uint8)
        try:
            self._net = cv2.FaceDetectorYN.create("onnx", content, nothing, (320, 320), MIN_SCORE, NMS_IOU_THRESHOLD)
            self._net.detect(np.zeros((320, 320, 3), np.uint8))
        except cv2.error as error:
            raise ModelFileError(
                f"{path} is not a YuNet model that OpenCV {cv2.__version__} reads: {first_line(error)}"
            ) from error
        warn_unchecked(Path(path), "compare it with its origin")
        self._running = threading.Lock()  # trackers in several threads may share a detector

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """See `Detector.detect`."""
        return [roi for score, roi in self.scored(frame) if score >= SCORE_THRESHOLD]

    def scored(self, frame: np.ndarray) -> list[tuple[float, ROI]]:
        """Return (score, ROI) pairs, best first."""
        height, width = frame.shape[:2]
        scale = min(1.0, SEARCH_SIZE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        with self._running:
            self._net.setInputSize(size)
            _, found = self._net.detect(image)
        possible = [] if found is None else [row for row in found if _is_possible(row)]
        rows = sorted(possible, key=lambda row: -row[14])
        return [(float(row[14]), roi_of_face_box(*(float(v) / scale for v in row[:4]))) for row in rows]


def _is_possible(row: np.ndarray) -> bool:
    """Return whether a detection's numbers are finite and its box has an extent."""
    return bool(np.isfinite(row).all() and min(row[2], row[3]) > 0)
