"""A moving face without an end, from a rendered picture that the repository holds: no file, no camera, no person."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import atpn
from edge_runtime.sources import Frame

PICTURES = Path(atpn.__file__).parent / "weights" / "detector_heldout.npz"
PICTURE = 1
"""One large face that no network was trained on."""
SIZE = (640, 480)
PERIOD, AWAY = 600, 60
"""Frames from one entrance to the next, and how many of them are empty."""
SWAY = (60.0, 30.0)
"""Pixels by which the face moves to either side and up and down, once in 90 and 70 frames."""


def rendered_face() -> np.ndarray:
    """(480, 640, 3) uint8 BGR: a rendered head in the middle."""
    with np.load(PICTURES, allow_pickle=False) as arrays:
        begin, end = arrays["ends"][PICTURE - 1 : PICTURE + 1]
        square = cv2.imdecode(arrays["jpeg"][begin:end], cv2.IMREAD_COLOR)
    width, height = SIZE
    bar = (width - height) // 2
    large = cv2.resize(square, (height, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.copyMakeBorder(large, 0, 0, bar, bar, cv2.BORDER_REPLICATE))


def frame_at(face: np.ndarray, index: int) -> np.ndarray:
    """The clip's frame of this number: the face sways, and leaves for the last tenth of each period."""
    if index % PERIOD >= PERIOD - AWAY:
        return np.full_like(face, 127)
    x, y = SWAY[0] * math.sin(index * math.tau / 90), SWAY[1] * math.sin(index * math.tau / 70)
    return np.asarray(cv2.warpAffine(face, np.array([[1, 0, x], [0, 1, y]]), SIZE, borderMode=cv2.BORDER_REPLICATE))


def swaying_frames(fps: float = 30.0) -> Iterator[Frame]:
    """The clip as a source gives it."""
    face = rendered_face()
    return (Frame(frame_at(face, index), index / fps, index) for index in itertools.count())
