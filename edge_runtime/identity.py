"""Identity of tracked faces: duplicate tracks, and re-identification of lost ones.

Two tracks are duplicates if the mean distance of their landmarks is less than a fifth of the face; the one with the
larger motion residual is lost. A lost track is kept for some time, and if it left the frame also for the time in which
it crosses the border. A detected face takes its id by one of two rules, if it is at most 1.5 times larger or smaller:

1. It is within one ROI size of the lost track's position, which is extrapolated over the first second. Among several
   the nearest is taken.
2. The lost track left the frame, and the face appears at the same border, at most three ROI sizes along it. Among
   several that left there, one is taken only if it alone left within one ROI size.

Any other face gets a new id. Re-identification uses position only, no appearance: another face that appears there
within that time takes the id, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_runtime.geometry import ROI
from edge_runtime.motion import MAX_GAP_SECONDS, RoiMotion

DUPLICATE_DISTANCE_THRESHOLD = 0.2
"""Mean distance of two tracks' landmarks below which they are the same face, in sizes of the smaller face."""
EXTRAPOLATION_SECONDS = 1.0
"""Maximum time over which the motion of a lost track is extrapolated."""
REID_MAX_DISTANCE = 1.0
"""Maximum distance from the extrapolated position, in ROI sizes."""
REID_MAX_SIZE_RATIO = 1.5
"""Maximum ratio of the ROIs' sizes."""
EXIT_SECONDS = 0.25
"""Time over which the motion of a lost track is extrapolated to tell whether it left the frame: the longest gap over
which motion predicts. Raise it to count faces as leaving that were lost farther from a border."""
EXIT_DISTANCE = 0.5
"""Distance from a border within which a lost track left there, in ROI sizes: its crop reached over the border."""
RETURN_DISTANCE = 1.5
"""Distance from a border within which a face appears there, in ROI sizes: that of a face that is wholly inside, and the
way that it goes between two searches."""
CROSSING_DISTANCE = 1.0
"""Way over the border, in ROI sizes, on which a face is in sight but not tracked: the rest of it that goes out after
the loss, and what comes in until it is found."""
MAX_CROSSING_SECONDS = 1.0
"""Maximum time for that way. Raise it to keep ids of faces that cross the border slowly."""
RETURN_MAX_SHIFT = 3.0
"""Maximum distance along the border between leaving and returning, in ROI sizes. Raise it to keep ids of people who
return elsewhere; someone else who enters by that side then takes the id more often."""


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

    def left_by(self, frame_size: tuple[int, int]) -> list[bool]:
        """Return for each border of `border_distances` whether the face left the frame there."""
        last, ahead = self.motion.roi, self.motion.extrapolate(self.time + EXIT_SECONDS, EXIT_SECONDS)
        pairs = zip(border_distances(last, frame_size), border_distances(ahead, frame_size), strict=True)
        return [min(pair) < EXIT_DISTANCE * last.size for pair in pairs]

    def crossing_seconds(self, frame_size: tuple[int, int]) -> float:
        """Return the time in which the face crosses the border by which it left, out and in; 0 if it did not leave."""
        if not any(self.left_by(frame_size)):
            return 0.0
        return CROSSING_DISTANCE / max(self.motion.speed, CROSSING_DISTANCE / MAX_CROSSING_SECONDS)


def border_distances(roi: ROI, frame_size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the distances of an ROI's center from the left, right, top, and bottom border; negative outside."""
    width, height = frame_size
    return roi.cx, width - roi.cx, roi.cy, height - roi.cy


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

    def remove_expired(self, timestamp: float, searched: float, frame_size: tuple[int, int]) -> None:
        """Remove tracks lost too long before the last search, or after `timestamp` if the clock was set back.

        A face that is found now may have returned at any time since the last search, at `searched` seconds; a search
        that was long ago counts as one `MAX_GAP_SECONDS` ago. The time in which a face crosses the border does not
        count.
        """
        returned = max(searched, timestamp - MAX_GAP_SECONDS)

        def remembered(track: LostTrack) -> bool:
            seconds = self._seconds and self._seconds + track.crossing_seconds(frame_size)
            return track.time <= timestamp and max(returned - track.time, 0.0) < seconds

        self._tracks = [track for track in self._tracks if remembered(track)]

    def match(self, roi: ROI, timestamp: float, frame_size: tuple[int, int]) -> int | None:
        """Remove the lost track that matches `roi` (frame pixels) and return its id, or None."""
        found = self._nearest(roi, timestamp) or self._returned(roi, frame_size)
        if found is None:
            return None
        self._tracks.remove(found)
        return found.id

    def _nearest(self, roi: ROI, timestamp: float) -> LostTrack | None:
        """Return the lost track whose extrapolated position is nearest, within one ROI size."""
        distances = []
        for track in self._tracks:
            expected = track.motion.extrapolate(timestamp, EXTRAPOLATION_SECONDS)
            distance = math.hypot(roi.cx - expected.cx, roi.cy - expected.cy) / max(roi.size, expected.size)
            if _similar_size(roi, expected) and distance <= REID_MAX_DISTANCE:
                distances.append((distance, track))
        return min(distances, key=lambda pair: pair[0], default=(0.0, None))[1]

    def _returned(self, roi: ROI, frame_size: tuple[int, int]) -> LostTrack | None:
        """Return the lost track that left the frame by the border where `roi` is, or None if it is not the only one."""
        here = [distance < RETURN_DISTANCE * roi.size for distance in border_distances(roi, frame_size)]
        shifts = []
        for track in self._tracks:
            last = track.motion.roi
            larger = max(roi.size, last.size)
            along = (abs(roi.cy - last.cy) / larger,) * 2 + (abs(roi.cx - last.cx) / larger,) * 2
            left = track.left_by(frame_size)
            shared = [along[i] for i in range(4) if here[i] and left[i] and along[i] <= RETURN_MAX_SHIFT]
            if shared and _similar_size(roi, last):
                shifts.append((min(shared), track))
        if len(shifts) > 1:
            shifts = [pair for pair in shifts if pair[0] <= REID_MAX_DISTANCE]
        return shifts[0][1] if len(shifts) == 1 else None


def _similar_size(first: ROI, second: ROI) -> bool:
    smaller, larger = sorted((first.size, second.size))
    return larger / smaller <= REID_MAX_SIZE_RATIO
