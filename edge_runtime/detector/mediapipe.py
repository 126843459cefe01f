"""Face detection by MediaPipe's short-range BlazeFace file (Bazarevsky et al., 2019), without the mediapipe package."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.backends import open_interpreter
from edge_runtime.detector.detection import MAX_DETECTIONS, suppress_overlaps
from edge_runtime.detector.network import letterbox
from edge_runtime.errors import ModelFileError
from edge_runtime.geometry import ROI

INPUT_SIZE = 128
"""Side of the file's RGB input, pixels."""
GRIDS = ((16, 2), (8, 6))
"""Cells per side and anchors per cell of the file's 896 outputs."""
SCORE_THRESHOLD = 0.5
"""Minimum score of a detection; MediaPipe's default."""
MAX_COORDINATE = 1e4
"""Maximum magnitude of a coordinate, input pixels. Anchors with a larger one, or one that is not finite, are left
out."""
MIN_SCORE = 0.05
"""Minimum score of what `scored` returns."""
# The file gives eyes and mouth besides a box whose extent is not documented, so the ROI is made of them. With adults'
# mean proportions, the landmarks' rectangle is 138 mm wide and 139 mm high; the pupils are 63 mm apart and 27 mm below
# its upper edge, and the mouth's middle lies 70 mm below them: the rectangle's center 42 mm below the pupils, 0.6 of
# the way.
ROI_PER_MOUTH_DISTANCE = 139 * 1.5 / 70
"""Size of the ROI over the distance from the eyes' middle to the mouth."""
ROI_PER_EYE_DISTANCE = 139 * 1.5 / 63
"""Size of the ROI over the distance between the eyes, of a frontal face."""
CENTER_TO_MOUTH = 42 / 70
"""Place of the ROI's center on the way from the eyes' middle to the mouth."""


class MediaPipeDetector:
    """MediaPipe's `face_detection_short_range.tflite`. Its ROIs have the head's roll."""

    def __init__(self, path: Path | str) -> None:
        """Load the file. FileNotFoundError or ModelFileError if it is missing or another model."""
        if not Path(path).exists():
            raise FileNotFoundError(f"no BlazeFace file at {path}; give MediaPipe's face_detection_short_range.tflite")
        self._interpreter = open_interpreter(Path(path))
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        indices = {tuple(int(n) for n in each["shape"]): each["index"] for each in outputs}
        count = sum(cells**2 * anchors for cells, anchors in GRIDS)
        expected = (1, INPUT_SIZE, INPUT_SIZE, 3), {(1, count, 16), (1, count, 1)}
        if (tuple(int(n) for n in inputs[0]["shape"]), set(indices)) != expected:
            raise ModelFileError(
                f"{path} takes {inputs[0]['shape']} and gives {sorted(indices)}, expected {expected[0]} and "
                f"{sorted(expected[1])}: give MediaPipe's face_detection_short_range.tflite"
            )
        self._input = inputs[0]["index"]
        self._running = threading.Lock()  # trackers in several threads may share a detector
        self._boxes, self._scores = indices[1, count, 16], indices[1, count, 1]

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """See `Detector.detect`."""
        return [roi for _, roi in self.scored(frame, SCORE_THRESHOLD)]

    def scored(self, frame: np.ndarray, threshold: float = MIN_SCORE) -> list[tuple[float, ROI]]:
        """Return (score, ROI) pairs with at least this score, best first."""
        image, square = letterbox(frame, INPUT_SIZE)
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        with self._running:
            self._interpreter.set_tensor(self._input, rgb[None].astype(np.float32) / 127.5 - 1.0)
            self._interpreter.invoke()
            boxes, scores = (self._interpreter.get_tensor(index)[0] for index in (self._boxes, self._scores))
        return decode(boxes, scores[:, 0], square, threshold)


def decode(
    values: np.ndarray, logits: np.ndarray, square: ROI, threshold: float = MIN_SCORE
) -> list[tuple[float, ROI]]:
    """Decode BlazeFace's outputs to (score, ROI) pairs, best first, after NMS; at most `MAX_DETECTIONS`.

    Args:
        values: (896, 16): x, y, width, height of a box, then x and y of the eyes on the image's left and right, nose,
            mouth, and ears; input pixels from the anchor's center.
        logits: (896,) scores before the sigmoid.
        square: Place of the input in the frame.
        threshold: Minimum score. Low ones cost more than the network: hundreds of anchors pass.
    """
    scores = 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -100.0, 100.0)))
    anchors, found = _anchors(), []
    possible = (np.abs(values) <= MAX_COORDINATE).all(axis=1) & (scores >= threshold)
    for index in np.argsort(np.where(possible, -scores, 0.0), kind="stable")[: min(MAX_DETECTIONS, possible.sum())]:
        points = square.to_frame(anchors[index] + values[index, 4:].reshape(6, 2) / INPUT_SIZE)
        if (roi := _roi_of_points(points[0], points[1], points[3])) is not None:
            found.append((float(scores[index]), roi))
    return suppress_overlaps(found)


def _roi_of_points(left: np.ndarray, right: np.ndarray, mouth: np.ndarray) -> ROI | None:
    eyes = (left + right) / 2
    down, across = mouth - eyes, right - left
    size = max(ROI_PER_MOUTH_DISTANCE * float(np.hypot(*down)), ROI_PER_EYE_DISTANCE * float(np.hypot(*across)))
    if not (math.isfinite(size) and size > 0):
        return None
    x, y = (eyes + CENTER_TO_MOUTH * down).tolist()
    # The mean of both directions: a turned head shortens the eyes' distance, a nodding one the mouth's.
    roll = math.atan2(across[1] - down[0], across[0] + down[1])
    return ROI(x, y, size, roll)


def _anchors() -> np.ndarray:
    """Return the (896, 2) anchors' centers in [0, 1], row by row."""
    centers = []
    for cells, anchors in GRIDS:
        line = (np.arange(cells) + 0.5) / cells
        y, x = np.meshgrid(line, line, indexing="ij")
        centers.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), anchors, axis=0))
    return np.concatenate(centers)
