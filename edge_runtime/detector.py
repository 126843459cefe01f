"""Face detection: the project's detector network, or OpenCV's cascades.

The tracking network checks every detection, so a detector may have false positives.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edge_runtime.backends import Backend, default_model_path, load_backend
from edge_runtime.errors import BackendError, DetectorError, ModelFileError
from edge_runtime.geometry import ROI, ROI_MARGIN

SEARCH_SIZE = 480
"""Longer side of the gray image that the cascades search, pixels; bounds the cost."""
MIN_FACE_SIZE = 24
"""Minimum side of a cascade's box in that image, pixels."""
SCALE_STEP = 1.2
"""Scale factor from one size of the search window to the next."""
MIN_NEIGHBORS = 2
"""Minimum number of overlapping hits of a detection; low, because the network rejects false positives."""
CONFIDENT_NEIGHBORS = 9
"""Number of hits of the frontal cascade from which the profile cascades, two thirds of the cost, are skipped."""
NMS_IOU_THRESHOLD = 0.3
"""IoU from which the lower-scored of two detections is suppressed."""
LARGE_FRAME_RATIO = 3
"""Ratio of a frame's longer side to the network's input from which the frame is searched in tiles, too."""
TILE_FRACTION = 0.5
"""Side of a tile, as a fraction of the frame's longer side."""
TILE_OVERLAP = 0.25
"""Minimum overlap of adjacent tiles, as a fraction of their side."""
TILES_PER_SEARCH = 2
"""Number of tiles per search."""
PAD_VALUE = 127
"""Gray level of the letterbox's padding: the middle of the range."""

_log = logging.getLogger(__name__)

# From a cascade's box to the landmarks' rectangle: (side / box side, downward shift of the center / box side).
# Frontal: the cascade's 20 x 20 training faces have the pupils 0.40 of the width apart, 0.39 of the height down. With
# adults' mean proportions (pupils 63 mm apart; upper edge of the brows 27 mm above, chin 112 mm below them; jaw 138 mm
# wide), the landmarks span 0.22 to 1.10 of the box's height and 0.88 of its width.
FRONTAL_TO_LANDMARKS = (0.88, 0.16)
# Profile: the box spans hairline to chin, 185 mm on average; brow to chin, the landmarks' height, is 130 mm.
PROFILE_TO_LANDMARKS = (0.70, 0.15)


class Detector(Protocol):
    """Face detector."""

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """Return the ROIs (by `ROI.from_landmarks`) of the faces in an (H, W, 3) uint8 BGR frame, best first."""


class CascadeDetector:
    """OpenCV's Haar cascades (Viola and Jones, 2001): frontal, profile, and mirrored profile."""

    def __init__(self) -> None:
        self._frontal = _load_cascade("haarcascade_frontalface_alt2.xml")
        self._profile = _load_cascade("haarcascade_profileface.xml")

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """See `Detector.detect`."""
        return [roi for _, roi in self.scored(frame)]

    def scored(self, frame: np.ndarray) -> list[tuple[float, ROI]]:
        """Return (number of overlapping hits, ROI) pairs, best first."""
        height, width = frame.shape[:2]
        scale = min(1.0, SEARCH_SIZE / max(height, width))
        size = (round(width * scale), round(height * scale))
        if min(size) < MIN_FACE_SIZE:
            return []
        gray = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        found = _search(self._frontal, gray, FRONTAL_TO_LANDMARKS)
        if not found or found[0][0] < CONFIDENT_NEIGHBORS:
            found += _search(self._profile, gray, PROFILE_TO_LANDMARKS)
            # The cascade detects profiles of one side only.
            for hits, roi in _search(self._profile, cv2.flip(gray, 1), PROFILE_TO_LANDMARKS):
                found.append((hits, ROI(size[0] - 1 - roi.cx, roi.cy, roi.size)))
        found.sort(key=lambda hit: -hit[0])
        return [(float(hits), _scaled(roi, 1 / scale)) for hits, roi in _nms(found)]


def _search(
    cascade: cv2.CascadeClassifier, gray: np.ndarray, to_landmarks: tuple[float, float]
) -> list[tuple[int, ROI]]:
    """Return (number of overlapping hits, ROI) in pixels of the searched image, most hits first."""
    boxes, hits = cascade.detectMultiScale2(
        gray, scaleFactor=SCALE_STEP, minNeighbors=MIN_NEIGHBORS, minSize=(MIN_FACE_SIZE, MIN_FACE_SIZE)
    )
    found = [(int(n), roi_from_cascade_box(box, to_landmarks)) for box, n in zip(boxes, np.ravel(hits), strict=True)]
    return sorted(found, key=lambda hit: -hit[0])


def roi_from_cascade_box(box: Sequence[int], to_landmarks: tuple[float, float]) -> ROI:
    """Convert a cascade's (x, y, width, height) box in pixels to an ROI."""
    x, y, width, height = (float(v) for v in box)
    side, shift = to_landmarks
    # Pixel centers lie at integers, so a box of w pixels from x is centered at x + (w - 1) / 2.
    cx, cy = x + (width - 1) / 2, y + (height - 1) / 2 + shift * height
    return ROI(cx, cy, width * side * (1 + 2 * ROI_MARGIN))


class NetworkDetector:
    """Detector network of this project.

    Large frames are also searched in overlapping tiles, `TILES_PER_SEARCH` of them per call in turn, so that small
    faces are found within a few calls of constant cost.
    """

    def __init__(self, model: Path | str | Backend, backend: str = "auto", threads: int = 1) -> None:
        """Load a .tflite or .onnx file, or use a loaded backend. ModelFileError if the model is not a detector."""
        self._backend = load_backend(model, backend, threads) if isinstance(model, Path | str) else model
        if not self._backend.spec.is_detector:
            raise ModelFileError(
                f"model {self._backend.spec.name!r} is not a detector: its outputs are "
                f"{', '.join(self._backend.spec.outputs)}, expected scores and rois; run `make export-tflite`"
            )
        self._next_tile = 0

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """See `Detector.detect`."""
        threshold = self._backend.spec.track_threshold
        found = self.scored(frame, threshold)
        height, width = frame.shape[:2]
        parts = tiles(width, height, self._backend.spec.input_size)
        for _ in range(min(TILES_PER_SEARCH, len(parts))):
            x, y, side = parts[self._next_tile % len(parts)]
            self._next_tile += 1
            for score, roi in self.scored(np.ascontiguousarray(frame[y : y + side, x : x + side]), threshold):
                found.append((score, ROI(roi.cx + x, roi.cy + y, roi.size)))
        return [roi for _, roi in _nms(sorted(found, key=lambda pair: -pair[0]))]

    def scored(self, frame: np.ndarray, threshold: float) -> list[tuple[float, ROI]]:
        """Return (score, ROI) pairs of the whole frame with at least this score, best first."""
        spec = self._backend.spec
        image, square = letterbox(frame, spec.input_size)
        outputs = self._backend.run(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        # In sides of the input, from the outer edge of the first pixel.
        rois = outputs["rois"] * square.size + (square.cx - square.size / 2, square.cy - square.size / 2, 0.0)
        return decode_detections(outputs["scores"], rois, threshold)


def tiles(width: int, height: int, input_size: int) -> list[tuple[int, int, int]]:
    """Return (x, y, side) of overlapping square tiles that cover a large frame; an empty list for smaller ones."""
    longest = max(width, height)
    if longest < LARGE_FRAME_RATIO * input_size:
        return []
    side = round(TILE_FRACTION * longest)

    def starts(extent: int) -> list[int]:
        steps = math.ceil(max(extent - side, 0) / (side * (1 - TILE_OVERLAP)))
        return [round(step * (extent - side) / steps) for step in range(steps + 1)] if steps else [0]

    return [(x, y, side) for y in starts(height) for x in starts(width)]


def default_detector() -> Detector:
    """Return the shipped detector network or, where no inference engine runs it, OpenCV's cascades."""
    try:
        return NetworkDetector(default_model_path(detector=True))
    except (BackendError, FileNotFoundError) as error:
        _log.warning("OpenCV's cascades detect faces, less well than the detector network: %s", error)
        return CascadeDetector()


def letterbox(frame: np.ndarray, size: int) -> tuple[np.ndarray, ROI]:
    """Scale an (H, W, 3) uint8 frame into a padded square of `size` pixels; return it and its square in the frame."""
    height, width = frame.shape[:2]
    scale = size / max(height, width)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    image = np.full((size, size, 3), PAD_VALUE, np.uint8)
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image[top : top + inner[1], left : left + inner[0]] = cv2.resize(frame, inner, interpolation=interpolation)
    # Pixel centers at integers: the frame's edges are half a pixel outside the outermost centers.
    x0, y0 = -left / scale - 0.5, -top / scale - 0.5
    side = size / scale
    return image, ROI(x0 + side / 2, y0 + side / 2, side)


def decode_detections(scores: np.ndarray, rois: np.ndarray, threshold: float) -> list[tuple[float, ROI]]:
    """Decode the outputs of a detector network to (score, ROI) pairs, best first, after NMS.

    Args:
        scores: (G, G) scores of the cells. A detection is a local maximum of 3 x 3 cells.
        rois: (G, G, 3) center x, center y, and size per cell, in the unit of the result.
        threshold: Minimum score.
    """
    peaks = (scores >= threshold) & (scores >= cv2.dilate(scores, np.ones((3, 3), np.uint8)))
    rows, columns = np.nonzero(peaks)
    order = np.argsort(-scores[rows, columns], kind="stable")
    return _nms(
        [
            (float(scores[row, column]), ROI(*(float(v) for v in rois[row, column])))
            for row, column in zip(rows[order], columns[order], strict=True)
        ]
    )


def _nms(found: Sequence[tuple[float, ROI]]) -> list[tuple[float, ROI]]:
    """Suppress pairs whose ROI overlaps an earlier one's; `found` is sorted, best first."""
    kept: list[tuple[float, ROI]] = []
    for score, roi in found:
        if all(roi.iou(other) < NMS_IOU_THRESHOLD for _, other in kept):
            kept.append((score, roi))
    return kept


def _scaled(roi: ROI, factor: float) -> ROI:
    # Pixel centers at integers: x becomes (x + 0.5) * factor - 0.5.
    return ROI((roi.cx + 0.5) * factor - 0.5, (roi.cy + 0.5) * factor - 0.5, roi.size * factor, roi.roll)


def _load_cascade(name: str) -> cv2.CascadeClassifier:
    if not hasattr(cv2, "CascadeClassifier"):
        raise DetectorError(
            f"OpenCV {cv2.__version__} has no CascadeClassifier: pip install 'opencv-python-headless>=4.11,<5', "
            "or pass another detector to the tracker"
        )
    path = Path(cv2.__file__).parent / "data" / name
    cascade = cv2.CascadeClassifier(str(path)) if path.is_file() else None
    if cascade is None or cascade.empty():
        raise DetectorError(f"OpenCV's cascade file {path} is missing or damaged: reinstall opencv-python-headless")
    return cascade
