"""Who is who: when two tracks follow one face, and which lost face a newly found one is.

The rules, in full. Two tracks whose landmarks lie closer than a fifth of the face follow the same face: the one that
its own motion led there keeps it, the other is lost. A face that is lost is remembered for two seconds, and taken to
move on as it did for the first of them. A face found within its own size of that place, no more than half as large
again or as small, is the same one and gets its id back; among several the nearest. Any other face gets a new id, and no
id is ever given to a second face. Looks are not compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_runtime.geometry import ROI
from edge_runtime.motion import RoiMotion

DUPLICATE_DISTANCE_THRESHOLD = 0.2
"""Mean distance of two tracks' landmarks, in sizes of the smaller landmark extent, below which they are one face's."""
REID_WINDOW_SECONDS = 2.0
EXTRAPOLATION_SECONDS = 1.0
"""For which a lost face is taken to move on as it did."""
REID_MAX_DISTANCE = 1.0
"""In region sizes, from where a lost face was expected."""
REID_MAX_SIZE_RATIO = 1.5
"""Ratio of sizes."""


def same_face(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two sets of (N, 2) pixel landmarks lie on one face."""
    distance = float(np.hypot(*(first - second).T).sum()) / len(first)
    return all(
        distance < DUPLICATE_DISTANCE_THRESHOLD * float(np.ptp(points, axis=0).max()) for points in (first, second)
    )


@dataclass(frozen=True)
class LostTrack:
    """A face that was held until lately."""

    id: int
    motion: RoiMotion
    time: float
    """Seconds; when it was lost."""


class LostTrackBuffer:
    """The memory of one stream."""

    def __init__(self) -> None:
        self._faces: list[LostTrack] = []

    def add(self, face: LostTrack) -> None:
        """A face was lost."""
        self._faces.append(face)

    def __len__(self) -> int:
        return len(self._faces)

    def remove_expired(self, timestamp: float) -> None:
        """Drop who was lost too long ago, or in a future that a clock set back made."""
        self._faces = [face for face in self._faces if 0 <= timestamp - face.time <= REID_WINDOW_SECONDS]

    def match(self, roi: ROI, timestamp: float) -> int | None:
        """The id of the lost face that is found again here; it is then not lost any more."""
        distances = {}
        for face in self._faces:
            expected = face.motion.extrapolate(timestamp, EXTRAPOLATION_SECONDS)
            ratio = max(roi.size, expected.size) / min(roi.size, expected.size)
            distance = math.hypot(roi.cx - expected.cx, roi.cy - expected.cy) / max(roi.size, expected.size)
            if ratio <= REID_MAX_SIZE_RATIO and distance <= REID_MAX_DISTANCE:
                distances[face.id] = distance
        if not distances:
            return None
        found = min(distances, key=lambda key: distances[key])
        self._faces = [face for face in self._faces if face.id != found]
        return found
