"""Unbroken tracks of one face, as a tracker without smoothing gives them, and smoothed afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime import Face
from edge_runtime.smoothing import OneEuroPoints

SMOOTHING = 0.5
"""The tracker's default."""

Seen = Sequence[tuple[float, Face | None]]
"""Each frame's time in seconds and the face that was reported."""


@dataclass(frozen=True)
class Track:
    """Consecutive frames that hold the same face."""

    begin: int
    """Number of the first frame."""
    times: list[float]
    """(T,) seconds."""
    landmarks: np.ndarray
    """(T, N, 2) pixels."""
    regions: list[float]
    """(T,) sides of the crops, pixels."""

    def smoothed(self, smoothing: float = SMOOTHING) -> np.ndarray:
        """(T, N, 2) landmarks as the tracker gives them with this smoothing in [0, 1]."""
        if smoothing == 0:
            return self.landmarks
        point_filter = OneEuroPoints(smoothing)
        return np.stack([point_filter(*frame) for frame in zip(self.landmarks, self.times, self.regions, strict=True)])


def tracks_of(seen: Seen) -> list[Track]:
    """The unbroken stretches of a sequence."""
    runs: list[list[tuple[int, float, Face]]] = []
    previous: Face | None = None
    for number, (time, face) in enumerate(seen):
        if face is not None:
            if previous is None or previous.id != face.id or face.age == 0:
                runs.append([])
            runs[-1].append((number, time, face))
        previous = face
    return [_track(run) for run in runs]


def _track(run: Sequence[tuple[int, float, Face]]) -> Track:
    numbers, times, faces = zip(*run, strict=True)
    landmarks = np.stack([face.landmarks for face in faces])
    return Track(numbers[0], list(times), landmarks, [face.roi.size for face in faces])


def found_again(seen: Seen) -> list[float]:
    """Seconds of each gap between faces."""
    gaps: list[float] = []
    lost: float | None = None
    for (before, face), (now, following) in itertools.pairwise(seen):
        if face is not None and following is None:
            lost = before
        elif face is None and following is not None and lost is not None:
            gaps.append(now - lost)
            lost = None
    return gaps
