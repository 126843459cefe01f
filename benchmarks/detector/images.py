"""Pictures with labeled faces: photographs and held-out renders, upright and turned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from atpn.data.afw import Photo
from atpn.data.store import SampleStore
from edge_runtime.geometry import ROI, rotation_2d
from edge_runtime.landmarks import IBUG_68, LandmarkScheme

T = TypeVar("T")
FILL = 127
"""Gray level around a turned picture."""
MIN_EYE_DISTANCE = 0.3
"""Minimum distance of the outer eye corners over the face's longer side for its landmark error to be counted: in a
profile, the distance says nothing about the face's size. A frontal face has 0.65."""


@dataclass(frozen=True)
class LabeledImage:
    """A picture and its faces."""

    frame: np.ndarray
    """(H, W, 3) uint8 BGR."""
    landmarks: Sequence[np.ndarray]
    """(N, 2) pixels of each face."""

    @property
    def rois(self) -> list[ROI]:
        """ROIs of the faces by the crop rule at roll 0, pixels."""
        return [ROI.from_landmarks(points) for points in self.landmarks]

    @property
    def extents(self) -> list[float]:
        """Longer side of each face's rectangle of landmarks, pixels."""
        return [float(np.ptp(points, axis=0).max()) for points in self.landmarks]

    def turned(self, degrees: float) -> LabeledImage:
        """Turn clockwise about the center, within a square that holds every turn: all are of equal size."""
        height, width = self.frame.shape[:2]
        side = math.ceil(math.hypot(width, height))
        turn = rotation_2d(math.radians(degrees))
        shift = (side - 1) / 2 - turn @ ((width - 1) / 2, (height - 1) / 2)
        frame = cv2.warpAffine(self.frame, np.column_stack([turn, shift]), (side, side), borderValue=(FILL, FILL, FILL))
        return LabeledImage(frame, [points @ turn.T + shift for points in self.landmarks])


@dataclass(frozen=True)
class ImageSet:
    """Pictures of one kind."""

    name: str
    origin: str
    """Where they are from, for the notes."""
    images: Sequence[LabeledImage]
    scheme: LandmarkScheme
    """Scheme of the labels."""
    complete: bool = True
    """Whether every face is labeled."""


def photographs(photos: Sequence[Photo], count: int) -> ImageSet:
    """Return up to `count` of AFW's photographs, evenly spaced."""
    images = [
        LabeledImage(np.ascontiguousarray(photo.image[:, :, ::-1]), [face.astype(float) for face in photo.faces])
        for photo in spread(photos, count)
    ]
    return ImageSet("AFW", f"of {len(photos)} photographs", images, IBUG_68, complete=False)


def portraits(store: SampleStore, count: int, origin: str) -> ImageSet:
    """Return up to `count` renders of one face whose landmark error can be counted, evenly spaced."""
    alone = [i for i in store.faces if store.neighbors(i) is None]
    usable = [i for i in alone if is_measurable(store.landmarks[i], store.scheme)]
    images = [
        LabeledImage(np.ascontiguousarray(store.image(i)[:, :, ::-1]), [store.landmarks[i].astype(float)])
        for i in spread(usable, count)
    ]
    return ImageSet("portraits", origin, images, store.scheme)


def is_measurable(landmarks: np.ndarray, scheme: LandmarkScheme) -> bool:
    """Return whether the eyes' distance measures (N, 2) landmarks; see `MIN_EYE_DISTANCE`."""
    return eye_distance(landmarks, scheme) >= MIN_EYE_DISTANCE * float(np.ptp(landmarks, axis=0).max())


def eye_distance(landmarks: np.ndarray, scheme: LandmarkScheme) -> float:
    """Return the distance of the outer eye corners, pixels."""
    left, right = scheme.outer_eye_corners
    return float(np.hypot(*(landmarks[left] - landmarks[right])))


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return up to `count` items, evenly spaced."""
    return [items[i] for i in np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)]
