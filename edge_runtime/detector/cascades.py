"""Face detection by OpenCV's cascades."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.detector.detection import suppress_overlaps
from edge_runtime.errors import DetectorError
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
# From a cascade's box to the landmarks' rectangle: (side / box side, downward shift of the center / box side).
# Frontal: the cascade's 20 x 20 training faces have the pupils 0.40 of the width apart, 0.39 of the height down. With
# adults' mean proportions (pupils 63 mm apart; upper edge of the brows 27 mm above, chin 112 mm below them; jaw 138 mm
# wide), the landmarks span 0.22 to 1.10 of the box's height and 0.88 of its width.
FRONTAL_TO_LANDMARKS = (0.88, 0.16)
# Profile: the box spans hairline to chin, 185 mm on average; brow to chin, the landmarks' height, is 130 mm.
PROFILE_TO_LANDMARKS = (0.70, 0.15)


class CascadeDetector:
    """OpenCV's Haar cascades (Viola and Jones, 2001): frontal, profile, and mirrored profile."""

    def __init__(self) -> None:
        self._running = threading.Lock()  # trackers in several threads may share a detector
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
        with self._running:
            found = _search(self._frontal, gray, FRONTAL_TO_LANDMARKS)
            if not found or found[0][0] < CONFIDENT_NEIGHBORS:
                found += _search(self._profile, gray, PROFILE_TO_LANDMARKS)
                # The cascade detects profiles of one side only.
                for hits, roi in _search(self._profile, cv2.flip(gray, 1), PROFILE_TO_LANDMARKS):
                    found.append((hits, ROI(size[0] - 1 - roi.cx, roi.cy, roi.size)))
        found.sort(key=lambda hit: -hit[0])
        return [(float(hits), _scaled(roi, 1 / scale)) for hits, roi in suppress_overlaps(found)]


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
