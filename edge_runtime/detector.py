"""Finding a face's first region of interest: a small network of our own, or what OpenCV ships.

The tracking network judges every candidate, so a detector here may be rough and generous.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edge_runtime.backends import Backend, default_model_path, load_backend
from edge_runtime.errors import DetectorError, ModelFileError
from edge_runtime.geometry import ROI, ROI_MARGIN

SEARCH_SIZE = 480
"""Long side in pixels of the grey picture that is searched: bounds the cost whatever the camera gives."""
MIN_FACE_SIZE = 24
"""Smallest box in that picture, pixels: a face of a twentieth of the frame's long side."""
SCALE_STEP = 1.2
"""Growth of the search window from one scale to the next."""
MIN_NEIGHBORS = 2
"""Overlapping hits that make a candidate; low, because the network refuses what is no face."""
CONFIDENT_NEIGHBORS = 9
"""Hits of the frontal cascade from which the two profile searches, two thirds of the cost, are skipped."""
NMS_IOU_THRESHOLD = 0.3
"""Candidates that overlap more than this are one face."""
LARGE_FRAME_RATIO = 3
"""Times the detector network's input: frames this long are searched in parts, too."""
TILE_FRACTION = 0.5
"""Side of a part, of the frame's longer side."""
TILE_OVERLAP = 0.25
TILES_PER_SEARCH = 2
PAD_VALUE = 127
"""Grey level beside a frame that is not square: the middle of the range, to a network nothing at all."""

# From a cascade's box to the landmarks' rectangle, as (side / box side, centre's shift down / box side).
# Frontal: the box puts the pupils 0.40 of its width apart and 0.39 of its height down (the cascade's 20 x 20 training
# faces were aligned so). With adults' average proportions (pupils 63 mm apart; brow's upper edge 27 mm above and chin
# 112 mm below them; jaw contour 138 mm wide) the landmarks span 0.22 to 1.10 of the box's height and 0.88 of its width.
FRONTAL_TO_LANDMARKS = (0.88, 0.16)
# Profile: the box spans hairline to chin, 185 mm on average, of which brow to chin, the landmarks' height, is 130 mm.
PROFILE_TO_LANDMARKS = (0.70, 0.15)


class Detector(Protocol):
    """Finds faces in a picture."""

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """Regions, by the crop rule of `ROI.from_landmarks`, in an (H, W, 3) uint8 BGR frame; best first."""


class CascadeDetector:
    """OpenCV's Haar cascades (Viola and Jones, 2001): frontal, profile, and mirrored profile."""

    def __init__(self) -> None:
        self._frontal = _load_cascade("haarcascade_frontalface_alt2.xml")
        self._profile = _load_cascade("haarcascade_profileface.xml")

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """See `Detector.detect`. A frame too small to hold a face gives none."""
        return [roi for _, roi in self.scored(frame)]

    def scored(self, frame: np.ndarray) -> list[tuple[float, ROI]]:
        """(number of overlapping hits, region) pairs, best first."""
        height, width = frame.shape[:2]
        scale = min(1.0, SEARCH_SIZE / max(height, width))
        size = (round(width * scale), round(height * scale))
        if min(size) < MIN_FACE_SIZE:
            return []
        gray = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        found = _search(self._frontal, gray, FRONTAL_TO_LANDMARKS)
        if not found or found[0][0] < CONFIDENT_NEIGHBORS:
            found += _search(self._profile, gray, PROFILE_TO_LANDMARKS)
            # The profile cascade knows one side only.
            for hits, roi in _search(self._profile, cv2.flip(gray, 1), PROFILE_TO_LANDMARKS):
                found.append((hits, ROI(size[0] - 1 - roi.cx, roi.cy, roi.size)))
        found.sort(key=lambda hit: -hit[0])
        return [(float(hits), _scaled(roi, 1 / scale)) for hits, roi in _nms(found)]


def _search(
    cascade: cv2.CascadeClassifier, gray: np.ndarray, to_landmarks: tuple[float, float]
) -> list[tuple[int, ROI]]:
    """(number of overlapping hits, region) in pixels of the searched picture, most hits first."""
    boxes, hits = cascade.detectMultiScale2(
        gray, scaleFactor=SCALE_STEP, minNeighbors=MIN_NEIGHBORS, minSize=(MIN_FACE_SIZE, MIN_FACE_SIZE)
    )
    found = [(int(n), roi_from_cascade_box(box, to_landmarks)) for box, n in zip(boxes, np.ravel(hits), strict=True)]
    return sorted(found, key=lambda hit: -hit[0])


def roi_from_cascade_box(box: Sequence[int], to_landmarks: tuple[float, float]) -> ROI:
    """A cascade's (x, y, width, height) pixels as a region by the crop rule."""
    x, y, width, height = (float(v) for v in box)
    side, shift = to_landmarks
    # Pixel centres lie at integers, so a box of w pixels from x is centred at x + (w - 1) / 2.
    cx, cy = x + (width - 1) / 2, y + (height - 1) / 2 + shift * height
    return ROI(cx, cy, width * side * (1 + 2 * ROI_MARGIN))


class NetworkDetector:
    """A detector network of this project.

    In a large frame small faces are smaller than the network sees. Each search therefore looks at the whole frame and
    at two of its overlapping parts, the next ones in turn: a few searches see all of it, and each costs the same.
    """

    def __init__(self, model: Path | str | Backend, backend: str = "auto", threads: int = 1) -> None:
        """Load a .tflite or .onnx file, or take a loaded one. ModelFileError for a model that is no detector."""
        self._backend = load_backend(model, backend, threads) if isinstance(model, Path | str) else model
        if not self._backend.spec.is_detector:
            raise ModelFileError(
                f"the model {self._backend.spec.name} gives {', '.join(self._backend.spec.outputs)}, "
                "a detector gives scores and regions; `make export-tflite` makes one"
            )
        self._turn = 0

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """See `Detector.detect`."""
        threshold = self._backend.spec.track_threshold
        found = self.scored(frame, threshold)
        height, width = frame.shape[:2]
        parts = tiles(width, height, self._backend.spec.input_size)
        for _ in range(min(TILES_PER_SEARCH, len(parts))):
            x, y, side = parts[self._turn % len(parts)]
            self._turn += 1
            for score, roi in self.scored(np.ascontiguousarray(frame[y : y + side, x : x + side]), threshold):
                found.append((score, ROI(roi.cx + x, roi.cy + y, roi.size)))
        return [roi for _, roi in _nms(sorted(found, key=lambda pair: -pair[0]))]

    def scored(self, frame: np.ndarray, threshold: float) -> list[tuple[float, ROI]]:
        """(score, region) pairs of the whole frame from a threshold on, best first."""
        spec = self._backend.spec
        image, place = letterbox(frame, spec.input_size)
        outputs = self._backend.run(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        # Regions count in picture sides, from the edge of the first pixel on.
        rois = outputs["rois"] * place.size + (place.cx - place.size / 2, place.cy - place.size / 2, 0.0)
        return decode_detections(outputs["scores"], rois, threshold)


def tiles(width: int, height: int, input_size: int) -> list[tuple[int, int, int]]:
    """(x, y, side) of overlapping squares that cover a frame too large to be seen at once; none for others."""
    longest = max(width, height)
    if longest < LARGE_FRAME_RATIO * input_size:
        return []
    side = round(TILE_FRACTION * longest)

    def starts(extent: int) -> list[int]:
        steps = math.ceil(max(extent - side, 0) / (side * (1 - TILE_OVERLAP)))
        return [round(step * (extent - side) / steps) for step in range(steps + 1)] if steps else [0]

    return [(x, y, side) for y in starts(height) for x in starts(width)]


def default_detector() -> Detector:
    """Our own network where its exported file is (`dist/detector_fp32.*`), else OpenCV's cascades."""
    try:
        return NetworkDetector(default_model_path(name="detector_fp32"))
    except FileNotFoundError:
        return CascadeDetector()


def letterbox(frame: np.ndarray, size: int) -> tuple[np.ndarray, ROI]:
    """An (H, W, 3) uint8 frame in the middle of a square picture, bars beside it; and the square that it then shows."""
    height, width = frame.shape[:2]
    scale = size / max(height, width)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    image = np.full((size, size, 3), PAD_VALUE, np.uint8)
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image[top : top + inner[1], left : left + inner[0]] = cv2.resize(frame, inner, interpolation=interpolation)
    # Pixel centres at integers: the frame's own edges lie half a pixel outside its outermost centres.
    x0, y0 = -left / scale - 0.5, -top / scale - 0.5
    side = size / scale
    return image, ROI(x0 + side / 2, y0 + side / 2, side)


def decode_detections(scores: np.ndarray, rois: np.ndarray, threshold: float) -> list[tuple[float, ROI]]:
    """What a detector network says about its (G, G) cells as (score, region) pairs, best first.

    `rois` is (G, G, 3): each cell's centre x, y and size, in the unit that the pairs come back in. A face is the
    best cell among its neighbors, from the threshold on; of two that overlap by NMS_IOU_THRESHOLD the better stays.
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
    """The (score, region) pairs, best first, whose regions no earlier one overlaps much."""
    kept: list[tuple[float, ROI]] = []
    for score, roi in found:
        if all(roi.iou(other) < NMS_IOU_THRESHOLD for _, other in kept):
            kept.append((score, roi))
    return kept


def _scaled(roi: ROI, factor: float) -> ROI:
    # Pixel centres at integers: coordinate x of one picture is (x + 0.5) * factor - 0.5 of the other.
    return ROI((roi.cx + 0.5) * factor - 0.5, (roi.cy + 0.5) * factor - 0.5, roi.size * factor, roi.roll)


def _load_cascade(name: str) -> cv2.CascadeClassifier:
    if not hasattr(cv2, "CascadeClassifier"):
        raise DetectorError(
            f"OpenCV {cv2.__version__} has no CascadeClassifier: pip install 'opencv-python-headless>=4.11,<5', "
            "or give the tracker a detector of your own"
        )
    path = Path(cv2.__file__).parent / "data" / name
    cascade = cv2.CascadeClassifier(str(path)) if path.is_file() else None
    if cascade is None or cascade.empty():
        raise DetectorError(f"OpenCV's cascade file {path} is missing or damaged: reinstall opencv-python-headless")
    return cascade
