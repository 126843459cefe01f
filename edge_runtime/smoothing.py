"""One-Euro smoothing of landmarks and of rotations: still when the face is still, quick when it moves.

Casiez, Roussel and Vogel, "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012. A first-order low-pass whose cutoff grows with the (itself low-passed) speed of the signal.
"""

from __future__ import annotations

import math
from typing import TypeVar

import cv2
import numpy as np

DERIVATIVE_CUTOFF_HZ = 1.0
"""Low-pass of the speed estimate; the paper's constant."""
LANDMARK_SPEED_COEFFICIENT = 16.0
"""Hz of cutoff per (ROI side / s): a point that crosses a sixteenth of the crop in a second doubles a 1 Hz cutoff."""
POSE_SPEED_COEFFICIENT = 3.0
"""Hz of cutoff per (rad / s): a head that turns 60 degrees in a second gains 3 Hz."""
MIN_TIME_STEP = 1e-3
"""Seconds assumed between frames whose time stamps do not increase, as after a seek or a clock change."""

Hertz = TypeVar("Hertz", float, np.ndarray)
"""One frequency or an array of them."""


def min_cutoff_hz(smoothing: float) -> float:
    """The knob in (0, 1] as the cutoff of a still signal: 8 Hz just above 0, 2 Hz at 0.5, 0.5 Hz at 1."""
    return 8.0 * math.pow(16.0, -smoothing)


def low_pass_weight(cutoff_hz: Hertz, dt: float) -> Hertz:
    """Share of the new value in a first-order low-pass with this cutoff after `dt` seconds (paper, equation 5)."""
    return cutoff_hz / (cutoff_hz + 1.0 / (2.0 * math.pi * dt))


def time_step(previous: float, now: float) -> float:
    """Seconds from one frame to the next, at least `MIN_TIME_STEP`."""
    return max(now - previous, MIN_TIME_STEP)


class OneEuroPoints:
    """The filter over (N, 2) points, one cutoff per point.

    Speeds count in sizes of the face per second, so that a face behaves the same near and far and at any resolution.
    A point's cutoff follows the length of its velocity, so the filter treats every direction alike.
    """

    def __init__(self, smoothing: float) -> None:
        if not 0 < smoothing <= 1:
            raise ValueError(f"smoothing must lie in (0, 1] here, got {smoothing}")
        self._min_cutoff = min_cutoff_hz(smoothing)
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next points pass unchanged."""
        self._value: np.ndarray | None = None
        self._velocity: np.ndarray | None = None
        self._time = 0.0

    def __call__(self, points: np.ndarray, timestamp: float, size: float) -> np.ndarray:
        """Smooth (N, 2) pixels taken at `timestamp` seconds of a face whose ROI is `size` pixels wide."""
        points = np.asarray(points, np.float64)
        if self._value is None or self._velocity is None:
            self._value, self._velocity, self._time = points, np.zeros_like(points), timestamp
            return points
        dt = time_step(self._time, timestamp)
        moved = points - self._value
        weight = low_pass_weight(DERIVATIVE_CUTOFF_HZ, dt)
        self._velocity = (1.0 - weight) * self._velocity + weight / (dt * size) * moved
        speed = np.hypot(self._velocity[:, :1], self._velocity[:, 1:])
        moved *= low_pass_weight(self._min_cutoff + LANDMARK_SPEED_COEFFICIENT * speed, dt)
        self._value, self._time = self._value + moved, timestamp
        return self._value


class OneEuroRotation:
    """The filter over (3, 3) rotations, on the matrix itself: no angle wraps round and no gimbal locks."""

    def __init__(self, smoothing: float) -> None:
        if not 0 < smoothing <= 1:
            raise ValueError(f"smoothing must lie in (0, 1] here, got {smoothing}")
        self._min_cutoff = min_cutoff_hz(smoothing)
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next rotation passes unchanged."""
        self._value: np.ndarray | None = None
        self._velocity = np.zeros((3, 1))
        self._time = 0.0

    def __call__(self, rotation: np.ndarray, timestamp: float) -> np.ndarray:
        """Smooth a (3, 3) rotation taken at `timestamp` seconds."""
        if self._value is None:
            self._value, self._time = rotation, timestamp
            return rotation
        dt = time_step(self._time, timestamp)
        # The velocity is a vector, so that jitter cancels out of it and turning adds up.
        turn = cv2.Rodrigues(rotation @ self._value.T)[0]
        self._velocity = self._velocity + low_pass_weight(DERIVATIVE_CUTOFF_HZ, dt) * (turn / dt - self._velocity)
        weight = low_pass_weight(self._min_cutoff + POSE_SPEED_COEFFICIENT * cv2.norm(self._velocity), dt)
        self._value = cv2.Rodrigues(turn * turn_fraction(cv2.norm(turn), weight))[0] @ self._value
        self._time = timestamp
        return self._value


def turn_fraction(angle: float, weight: float) -> float:
    """How much of a turn by `angle` radians leads to the rotation nearest (1 - weight) before + weight after.

    Nearest in the Frobenius norm. In the plane of the turn the two are 1 and exp(i angle), their mean's argument is the
    answer: about `weight` of a small turn.
    """
    return math.atan2(weight * math.sin(angle), 1.0 - weight + weight * math.cos(angle)) / angle if angle else weight
