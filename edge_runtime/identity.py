"""Identity of tracked faces: duplicate tracks, and re-identification of lost ones.

Two tracks are duplicates if the mean distance of their landmarks is less than a fifth of the face; the one with the
larger motion residual is lost. A lost track is kept for some time and extrapolated over the first second. A detected
face takes its id if it is within one ROI size of the extrapolated position and at most 1.5 times larger or smaller.
Among several the nearest is taken. Any other face gets a new id. Re-identification uses position only, no appearance:
another face that appears there within that time takes the id, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_runtime.geometry import ROI
from edge_runtime.motion import RoiMotion

DUPLICATE_DISTANCE_THRESHOLD = 0.2
"""Mean distance of two tracks' landmarks below which they are the same face, in sizes of the smaller face."""
EXTRAPOLATION_SECONDS = 1.0
"""Maximum time over which the motion of a lost track is extrapolated."""
REID_MAX_DISTANCE = 1.0
"""Maximum distance from the extrapolated position, in ROI sizes."""
REID_MAX_SIZE_RATIO = 1.5
"""Maximum ratio of the ROIs' sizes."""


def same_face(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two sets of (N, 2) landmarks in pixels are of the same face."""
    distance = float(np.hypot(*(first - second).T).sum()) / len(first)
    return all(
        distance < DUPLICATE_DISTANCE_THRESHOLD * float(np.ptp(points, axis=0).max()) for points in (first, second)
    )


@dataclass(frozen=True)
class LostTrack:
    """A face that is not tracked any more."""

    id: int
    motion: RoiMotion
    time: float
    """Time of the loss, seconds."""


class LostTrackBuffer:
    """Lost tracks of one stream, each for `seconds` after its loss."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._tracks: list[LostTrack] = []

    def __len__(self) -> int:
        return len(self._tracks)

    def add(self, track: LostTrack) -> None:
        """Add a lost track."""
        self._tracks.append(track)

    def remove_expired(self, timestamp: float) -> None:
        """Remove tracks lost too long before `timestamp`, or after it if the clock was set back."""
        self._tracks = [track for track in self._tracks if 0 <= timestamp - track.time < self._seconds]

    def match(self, roi: ROI, timestamp: float) -> int | None:
        """Remove the lost track that matches `roi` (frame pixels) and return its id, or None."""
        distances = {}
        for track in self._tracks:
            expected = track.motion.extrapolate(timestamp, EXTRAPOLATION_SECONDS)
            smaller, larger = sorted((roi.size, expected.size))
            distance = math.hypot(roi.cx - expected.cx, roi.cy - expected.cy) / larger
            if larger / smaller <= REID_MAX_SIZE_RATIO and distance <= REID_MAX_DISTANCE:
                distances[track.id] = distance
        if not distances:
            return None
        nearest = min(distances, key=lambda key: distances[key])
        self._tracks = [track for track in self._tracks if track.id != nearest]
        return nearest
