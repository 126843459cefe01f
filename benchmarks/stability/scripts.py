"""What happens in the scenes that trackers fail in: faces that leave, are covered, are quick, or cross."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SWING = 0.28
"""Frame widths to either side that a quick face goes."""


@dataclass(frozen=True)
class Way:
    """Where something is at what second: straight on from one key to the next."""

    seconds: Sequence[float]
    x: Sequence[float]
    """Of its middle, frame widths."""
    y: float = 0.5
    """Frame heights."""
    size: float = 0.35
    """Side in frame heights: of a person the face's region by the crop rule."""

    def at(self, time: float) -> tuple[float, float]:
        """Middle in frame widths and heights."""
        return float(np.interp(time, self.seconds, self.x)), self.y


@dataclass(frozen=True)
class Script:
    """One scene."""

    name: str
    seconds: float
    people: tuple[Way, ...]
    """The nearer ones later."""
    board: Way | None = None
    """A square thing that passes before everybody."""

    def at(self, time: float) -> tuple[tuple[float, float], ...]:
        """Where everything is: the people, then the board."""
        return tuple(way.at(time) for way in (*self.people, *([self.board] if self.board else [])))


def _swinging(seconds: float, slowest: float, quickest: float) -> Way:
    """To and fro, so often a second at first and at last."""
    times = np.linspace(0, seconds, round(60 * seconds) + 1)
    turns = slowest * times + (quickest - slowest) * times**2 / (2 * seconds)
    return Way(times.tolist(), (0.5 + SWING * np.sin(2 * math.pi * turns)).tolist())


SCRIPTS = (
    # Out of sight for one second and for three: a tracker remembers for two whom it lost.
    Script("a face returns", 10.5, (Way([1, 1.7, 2.7, 3.4, 5, 5.7, 8.7, 9.4], [0.5, 1.3, 1.3, 0.5] * 2),)),
    # Wiped over in half a second, and later covered for a second and a half.
    Script(
        "a face is covered",
        8.0,
        (Way([0], [0.5]),),
        Way([1.5, 2.0, 3.5, 3.9, 5.4, 5.8], [-0.3, 1.3, 1.3, 0.5, 0.5, -0.3], size=0.65),
    ),
    Script("a face moves fast", 8.0, (_swinging(8.0, 0.2, 1.0),)),
    # Past each other in one and a half seconds, and back in three.
    Script(
        "two faces cross",
        8.5,
        (
            Way([1, 2.5, 4, 7], [0.25, 0.75, 0.75, 0.25], y=0.45, size=0.27),
            Way([1, 2.5, 4, 7], [0.75, 0.25, 0.25, 0.75], y=0.5, size=0.38),
        ),
    ),
    # Up to ten of its regions a second, where trackers do fail.
    Script("a face moves very fast", 8.0, (_swinging(8.0, 0.3, 1.5),)),
)
