"""Scenarios in which trackers fail: faces that leave, are covered, move fast, or cross."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SWING = 0.28
"""Amplitude of a fast face, frame widths."""


@dataclass(frozen=True)
class Trajectory:
    """Position over time, linear between keys."""

    seconds: Sequence[float]
    x: Sequence[float]
    """Center at these times, frame widths."""
    y: float = 0.5
    """Center, frame heights."""
    size: float = 0.35
    """Side, frame heights: for a person, of the face's ROI."""

    def at(self, time: float) -> tuple[float, float]:
        """Return the center in frame widths and heights."""
        return float(np.interp(time, self.seconds, self.x)), self.y


@dataclass(frozen=True)
class Scenario:
    """One scene."""

    name: str
    seconds: float
    people: tuple[Trajectory, ...]
    """Trajectories from the farthest to the nearest person."""
    board: Trajectory | None = None
    """Trajectory of a square occluder before everybody."""

    def at(self, time: float) -> tuple[tuple[float, float], ...]:
        """Return the positions of the people, then of the board."""
        return tuple(each.at(time) for each in (*self.people, *([self.board] if self.board else [])))


def _oscillating(seconds: float, first: float, last: float) -> Trajectory:
    """Return a trajectory that swings with a frequency from `first` to `last`, Hz."""
    times = np.linspace(0, seconds, round(60 * seconds) + 1)
    turns = first * times + (last - first) * times**2 / (2 * seconds)
    return Trajectory(times.tolist(), (0.5 + SWING * np.sin(2 * math.pi * turns)).tolist())


SCENARIOS = (
    # Out of sight for one second and for three: a tracker remembers a lost face for two.
    Scenario("a face returns", 10.5, (Trajectory([1, 1.7, 2.7, 3.4, 5, 5.7, 8.7, 9.4], [0.5, 1.3, 1.3, 0.5] * 2),)),
    # Covered for half a second, later for a second and a half.
    Scenario(
        "a face is covered",
        8.0,
        (Trajectory([0], [0.5]),),
        Trajectory([1.5, 2.0, 3.5, 3.9, 5.4, 5.8], [-0.3, 1.3, 1.3, 0.5, 0.5, -0.3], size=0.65),
    ),
    Scenario("a face moves fast", 8.0, (_oscillating(8.0, 0.2, 1.0),)),
    # Past each other in one and a half seconds, and back in three.
    Scenario(
        "two faces cross",
        8.5,
        (
            Trajectory([1, 2.5, 4, 7], [0.25, 0.75, 0.75, 0.25], y=0.45, size=0.27),
            Trajectory([1, 2.5, 4, 7], [0.75, 0.25, 0.25, 0.75], y=0.5, size=0.38),
        ),
    ),
    # Up to ten ROI sides a second, where trackers do fail.
    Scenario("a face moves very fast", 8.0, (_oscillating(8.0, 0.3, 1.5),)),
)
