"""Face boxes: left, top, right, bottom in pixels, whose centers are at integers."""

from __future__ import annotations

import numpy as np

from edge_runtime.geometry import ROI

Box = tuple[float, float, float, float]

# Face boxes "tightly contain the forehead, chin and cheek" (WIDER FACE; Yang et al., 2016): hairline to chin, cheek to
# cheek. Of hairline to chin, 185 mm on average, the landmarks' rectangle has the 139 mm from the brow's upper edge to
# the chin (the proportions of `edge_runtime.detector`); it is as wide as the box and ends with it.
LANDMARKS_HEIGHT = 139 / 185


def box_of(x: float, y: float, width: float, height: float) -> Box:
    """Return the box of `width` x `height` pixels whose first pixel is (x, y), counted from 0.

    Pixel centers are at integers, so the box's edges lie half a pixel outside its outermost pixel centers.
    """
    return x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5


def box_corners(box: Box) -> np.ndarray:
    """Return the (4, 2) corners of a box, clockwise from the top left."""
    left, top, right, bottom = box
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def landmarks_rectangle(box: Box) -> Box:
    """Return the part of a face box (hairline to chin) that the landmarks cover."""
    left, _, right, bottom = box
    return left, bottom - LANDMARKS_HEIGHT * (bottom - box[1]), right, bottom


def roi_of_box(box: Box) -> ROI:
    """Return the crop rule's ROI, at roll 0, of a face box."""
    return ROI.from_landmarks(box_corners(landmarks_rectangle(box)))
