"""One-Euro filters for landmarks, rotations, expressions, and gaze.

Casiez, Roussel and Vogel, "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012: a first-order low-pass filter whose cutoff rises with the (low-passed) speed of the signal.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from edge_runtime.errors import require
from edge_runtime.geometry import as_complex
from edge_runtime.motion import MIN_TIME_STEP
from edge_runtime.rotation import Rows, product, rotation_by, rotation_vector, transposed

DERIVATIVE_CUTOFF_HZ = 1.0
"""Cutoff of the speed estimate; the paper's constant."""
LANDMARK_SPEED_COEFFICIENT = 16.0
"""Hz of cutoff per ROI size per second. Raise it for less lag of moving landmarks."""
POSE_SPEED_COEFFICIENT = 3.0
"""Hz of cutoff per radian per second, of heads and of eyes. Raise it for less lag when they turn."""
EXPRESSION_SPEED_COEFFICIENT = 4.0
"""Hz of cutoff per full range of a coefficient and second. Raise it for less lag of blinks."""

Hertz = TypeVar("Hertz", float, np.ndarray)


def min_cutoff_hz(smoothing: float) -> float:
    """Return the cutoff of a still signal for a smoothing in (0, 1]: 8 Hz near 0, 2 Hz at 0.5, 0.5 Hz at 1."""
    return 8.0 * math.pow(16.0, -smoothing)


def low_pass_weight(cutoff_hz: Hertz, dt: float) -> Hertz:
    """Return the weight of the new value in a first-order low-pass filter after `dt` seconds (paper, equation 5)."""
    return cutoff_hz / (cutoff_hz + 1.0 / (2.0 * math.pi * dt))


def time_step(previous: float, now: float) -> float:
    """Return the seconds between two timestamps, at least `MIN_TIME_STEP`: they may repeat or decrease."""
    return max(now - previous, MIN_TIME_STEP)


class _OneEuro:
    """State of one filter."""

    def __init__(self, smoothing: float) -> None:
        require(0 < smoothing <= 1, f"smoothing must lie in (0, 1] here, got {smoothing}")
        self._min_cutoff = min_cutoff_hz(smoothing)
        self.reset()

    def reset(self) -> None:
        """Clear the state: the next value passes unchanged."""
        self._value: np.ndarray | None = None
        self._velocity = np.zeros(0)
        self._time = 0.0


class OneEuroPoints(_OneEuro):
    """Filter of (N, 2) points with one cutoff per point.

    Speeds are in ROI sizes per second, so the result does not depend on the face's size in the image. The cutoff
    depends on the length of a point's velocity, not its direction.
    """

    def __call__(self, points: np.ndarray, timestamp: float, size: float) -> np.ndarray:
        """Smooth (N, 2) pixels of a face whose ROI has `size` pixels; `timestamp` in seconds."""
        values = as_complex(points)
        if self._value is None:
            self._value, self._velocity, self._time = values, np.zeros_like(values), timestamp
            return values.view(np.float64)
        dt = time_step(self._time, timestamp)
        moved = values - self._value
        weight = low_pass_weight(DERIVATIVE_CUTOFF_HZ, dt)
        self._velocity = (1.0 - weight) * self._velocity + weight / (dt * size) * moved
        cutoff = self._min_cutoff + LANDMARK_SPEED_COEFFICIENT * np.abs(self._velocity)
        self._value, self._time = self._value + low_pass_weight(cutoff, dt) * moved, timestamp
        return self._value.view(np.float64)


class OneEuroNumbers(_OneEuro):
    """Filter of (N,) numbers with one cutoff each."""

    def __init__(self, smoothing: float, speed_coefficient: float) -> None:
        """Take the smoothing in (0, 1] and the Hz of cutoff per unit of speed."""
        super().__init__(smoothing)
        self._speed_coefficient = speed_coefficient

    def __call__(self, numbers: np.ndarray, timestamp: float) -> np.ndarray:
        """Smooth (N,) numbers; `timestamp` in seconds."""
        if self._value is None:
            self._value, self._velocity, self._time = numbers, np.zeros_like(numbers), timestamp
            return numbers
        dt = time_step(self._time, timestamp)
        moved = numbers - self._value
        self._velocity = self._velocity + low_pass_weight(DERIVATIVE_CUTOFF_HZ, dt) * (moved / dt - self._velocity)
        cutoff = self._min_cutoff + self._speed_coefficient * np.abs(self._velocity)
        self._value, self._time = self._value + low_pass_weight(cutoff, dt) * moved, timestamp
        return self._value


class OneEuroRotation(_OneEuro):
    """Filter of (3, 3) rotation matrices, free of angle wrap-around and gimbal lock."""

    def reset(self) -> None:
        """Clear the state: the next value passes unchanged."""
        self._rows: Rows | None = None
        self._turning = (0.0, 0.0, 0.0)
        """Rotation vector per second."""
        self._time = 0.0

    def __call__(self, rotation: np.ndarray, timestamp: float) -> np.ndarray:
        """Smooth a (3, 3) rotation; `timestamp` in seconds."""
        rows = rotation.tolist()
        if self._rows is None:
            self._rows, self._time = rows, timestamp
            return rotation
        dt = time_step(self._time, timestamp)
        # A vector: jitter cancels out, turning accumulates.
        x, y, z = rotation_vector(product(rows, transposed(self._rows)))
        weight, (vx, vy, vz) = low_pass_weight(DERIVATIVE_CUTOFF_HZ, dt), self._turning
        self._turning = vx, vy, vz = (
            vx + weight * (x / dt - vx),
            vy + weight * (y / dt - vy),
            vz + weight * (z / dt - vz),
        )
        weight = low_pass_weight(self._min_cutoff + POSE_SPEED_COEFFICIENT * math.hypot(vx, vy, vz), dt)
        fraction = turn_fraction(math.hypot(x, y, z), weight)
        self._rows = product(rotation_by(fraction * x, fraction * y, fraction * z), self._rows)
        self._time = timestamp
        return np.array(self._rows)


def turn_fraction(angle: float, weight: float) -> float:
    """Return the fraction of a turn by `angle` radians that a low-pass of this weight makes; `weight` for small turns.

    It leads to the rotation nearest to (1 - weight) before + weight after in the Frobenius norm. In the plane of the
    turn these are 1 and exp(i angle), so it is the argument of their mean.
    """
    return math.atan2(weight * math.sin(angle), 1.0 - weight + weight * math.cos(angle)) / angle if angle else weight
