"""Where a face's region will be in the next frame, from how it moved in the last ones."""

from __future__ import annotations

import math

from edge_runtime.geometry import ROI

PREDICTION_GAIN = 0.7
"""Of the motion that is predicted: a head that stops is then overshot by less than it would else be missed."""
VELOCITY_EMA_WEIGHT = 0.6
"""Of the newest speed in the running one: a single bad frame does not throw the region away."""
MAX_STEP = 0.3
"""In region sizes: a region never jumps farther than the network forgives a crop to be off."""
MAX_GAP_SECONDS = 0.25
"""Seconds over which motion is carried on; after a longer pause nobody knows."""


class RoiMotion:
    """The speed of one face's region."""

    def __init__(self, roi: ROI, timestamp: float) -> None:
        self._roi, self._time = roi, timestamp
        self._velocity = (0.0, 0.0)

    @property
    def roi(self) -> ROI:
        """The region seen last."""
        return self._roi

    def update(self, roi: ROI, timestamp: float) -> None:
        """The face was seen here; time that stands still or runs back tells nothing about speed."""
        dt = timestamp - self._time
        if dt > 0:
            new = ((roi.cx - self._roi.cx) / dt, (roi.cy - self._roi.cy) / dt)
            self._velocity = (
                self._velocity[0] + VELOCITY_EMA_WEIGHT * (new[0] - self._velocity[0]),
                self._velocity[1] + VELOCITY_EMA_WEIGHT * (new[1] - self._velocity[1]),
            )
        self._roi, self._time = roi, timestamp

    def predict(self, timestamp: float) -> ROI:
        """Where to look for the face at a time, in seconds, shortly after the last one."""
        dx, dy = self._displacement(timestamp, MAX_GAP_SECONDS)
        reach = math.hypot(dx, dy)
        if reach > MAX_STEP * self._roi.size:
            dx, dy = (MAX_STEP * self._roi.size * d / reach for d in (dx, dy))
        return ROI(self._roi.cx + dx, self._roi.cy + dy, self._roi.size, self._roi.roll)

    def extrapolate(self, timestamp: float, max_gap: float) -> ROI:
        """Where the region would be if it had moved on unseen, for as many seconds at most."""
        dx, dy = self._displacement(timestamp, max_gap)
        return ROI(self._roi.cx + dx, self._roi.cy + dy, self._roi.size, self._roi.roll)

    def _displacement(self, timestamp: float, max_gap: float) -> tuple[float, float]:
        dt = min(max(timestamp - self._time, 0.0), max_gap)
        return PREDICTION_GAIN * self._velocity[0] * dt, PREDICTION_GAIN * self._velocity[1] * dt
