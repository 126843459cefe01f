"""An endless clip of a moving face, from a rendered image in the repository: no file, camera, or person needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import atpn
from edge_runtime.arrays import load_arrays
from edge_runtime.decoding import decode_image
from edge_runtime.sources import Frame

IMAGES = Path(atpn.__file__).parent / "weights" / "detector_heldout.npz"
IMAGE = 20
"""Index of the image: one large face that no network was trained on."""
SIZE = (640, 480)
PERIOD, EMPTY_FRAMES = 600, 60
"""Frames from one entrance of the face to the next, and the number of empty frames at the end."""
AMPLITUDE = (60.0, 30.0)
"""Largest motion in x and y, pixels; the periods are 90 and 70 frames."""


def rendered_face() -> np.ndarray:
    """Return (480, 640, 3) uint8 BGR: a rendered head in the center."""
    arrays = load_arrays(IMAGES, ["ends", "jpeg"])
    begin, end = arrays["ends"][IMAGE - 1 : IMAGE + 1]
    square = decode_image(arrays["jpeg"][begin:end])
    width, height = SIZE
    bar = (width - height) // 2
    large = cv2.resize(square, (height, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.copyMakeBorder(large, 0, 0, bar, bar, cv2.BORDER_REPLICATE))


def frame_at(face: np.ndarray, index: int) -> np.ndarray:
    """Return frame `index` of the clip: the face sways, and is absent in the last tenth of each period."""
    if index % PERIOD >= PERIOD - EMPTY_FRAMES:
        return np.full_like(face, 127)
    x, y = AMPLITUDE[0] * math.sin(index * math.tau / 90), AMPLITUDE[1] * math.sin(index * math.tau / 70)
    return np.asarray(cv2.warpAffine(face, np.array([[1, 0, x], [0, 1, y]]), SIZE, borderMode=cv2.BORDER_REPLICATE))


def swaying_frames(fps: float = 30.0) -> Iterator[Frame]:
    """Yield the clip as a frame source does."""
    face = rendered_face()
    return (Frame(frame_at(face, index), index / fps, index) for index in itertools.count())
