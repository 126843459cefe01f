"""What detectors have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from edge_runtime.geometry import ROI

MAX_DETECTIONS = 300
"""Maximum number of detections of a network's run, and of a frame; the best ones are kept. Bounds the time of NMS."""
NMS_IOU_THRESHOLD = 0.3
"""IoU from which the lower-scored of two detections is suppressed."""
# Face boxes of WIDER FACE "tightly contain the forehead, chin and cheek" (Yang et al., 2016): hairline to chin, cheek
# to cheek. Of hairline to chin, 185 mm on average, the landmarks' rectangle has the 139 mm from the brow's upper edge
# to the chin; it is as wide as the box and ends with it.
LANDMARKS_HEIGHT = 139 / 185
"""Height of the landmarks' rectangle over a face box's."""


class Detector(Protocol):
    """Face detector. The tracking network checks every detection, so there may be false ones."""

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """Return the ROIs (by `ROI.from_landmarks`) of the faces in an (H, W, 3) uint8 BGR frame, best first."""


@runtime_checkable
class StreamDetector(Protocol):
    """Detector that can search a part of each frame of a stream, at a bounded cost."""

    def search(self, frame: np.ndarray, turn: int) -> list[ROI]:
        """Return the ROIs of the faces in the part of the frame whose turn it is; `turn` counts searches from 0."""


def search(detector: Detector, frame: np.ndarray, turn: int) -> list[ROI]:
    """Search a frame of a stream: a part of it where the detector can, else everything."""
    return detector.search(frame, turn) if isinstance(detector, StreamDetector) else detector.detect(frame)


def roi_of_face_box(x: float, y: float, width: float, height: float) -> ROI:
    """Convert a box from hairline to chin, as of WIDER FACE, to an ROI by the crop rule, at roll 0.

    Args:
        x: First pixel column.
        y: First pixel row.
        width: Number of columns.
        height: Number of rows.
    """
    # Pixel centers are at integers, so the box's edges lie half a pixel outside its outermost pixel centers.
    left, right, bottom = x - 0.5, x + width - 0.5, y + height - 0.5
    return ROI.from_landmarks(np.array([(left, bottom - LANDMARKS_HEIGHT * height), (right, bottom)]))


def suppress_overlaps(found: Sequence[tuple[float, ROI]]) -> list[tuple[float, ROI]]:
    """Suppress pairs whose ROI overlaps an earlier one's; `found` is sorted, best first. Keep `MAX_DETECTIONS`."""
    kept: list[tuple[float, ROI]] = []
    places = np.empty((MAX_DETECTIONS, 3))
    for score, roi in found:
        if len(kept) == MAX_DETECTIONS:
            break
        near = np.flatnonzero(_may_overlap(roi, places[: len(kept)]))
        if all(roi.iou(kept[index][1]) < NMS_IOU_THRESHOLD for index in near):
            places[len(kept)] = roi.cx, roi.cy, roi.size
            kept.append((score, roi))
    return kept


def _may_overlap(roi: ROI, places: np.ndarray) -> np.ndarray:
    """Return which of (N, 3) center x, center y, and size may reach the IoU threshold with an ROI: a quick bound.

    The IoU of squares is at most the ratio of their areas; squares of any roll lie within the circles of their corners.
    """
    x, y, size = places.T
    ratio = np.minimum(size, roi.size) / np.maximum(size, roi.size)
    reach = (size + roi.size) / math.sqrt(2)
    return np.asarray((ratio**2 >= 0.99 * NMS_IOU_THRESHOLD) & (np.hypot(x - roi.cx, y - roi.cy) <= reach))
