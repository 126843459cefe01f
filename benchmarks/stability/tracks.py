"""Unbroken tracks of one face from a tracker without smoothing, and smoothing afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime import Face
from edge_runtime.smoothing import OneEuroPoints

SMOOTHING = 0.5
"""The tracker's default."""

Observations = Sequence[tuple[float, Face | None]]
"""Time in seconds and reported face of each frame."""


@dataclass(frozen=True)
class Track:
    """Consecutive frames of the same face."""

    begin: int
    """Index of the first frame."""
    times: list[float]
    """(T,) seconds."""
    landmarks: np.ndarray
    """(T, N, 2) pixels."""
    roi_sizes: list[float]
    """(T,) sides of the crops, pixels."""

    def smoothed(self, smoothing: float = SMOOTHING) -> np.ndarray:
        """Return (T, N, 2) landmarks as the tracker returns them with this smoothing in [0, 1]."""
        if smoothing == 0:
            return self.landmarks
        point_filter = OneEuroPoints(smoothing)
        return np.stack([point_filter(*each) for each in zip(self.landmarks, self.times, self.roi_sizes, strict=True)])


def tracks_of(observations: Observations) -> list[Track]:
    """Return the unbroken tracks in a sequence."""
    runs: list[list[tuple[int, float, Face]]] = []
    previous: Face | None = None
    for number, (time, face) in enumerate(observations):
        if face is not None:
            if previous is None or previous.id != face.id or face.age == 0:
                runs.append([])
            runs[-1].append((number, time, face))
        previous = face
    tracks = []
    for run in runs:
        numbers, times, faces = zip(*run, strict=True)
        landmarks = np.stack([face.landmarks for face in faces])
        tracks.append(Track(numbers[0], list(times), landmarks, [face.roi.size for face in faces]))
    return tracks


def gaps_between_faces(observations: Observations) -> list[float]:
    """Return the seconds of each gap between faces."""
    gaps: list[float] = []
    lost: float | None = None
    for (before, face), (now, following) in itertools.pairwise(observations):
        if face is not None and following is None:
            lost = before
        elif face is None and following is not None and lost is not None:
            gaps.append(now - lost)
            lost = None
    return gaps
