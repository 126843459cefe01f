"""Where a face's region will be in the next frame, from how it moved in the last ones."""

from __future__ import annotations

import math

from edge_runtime.geometry import ROI

SHARE = 0.7
"""Of the motion that is predicted: a head that stops is then overshot by less than it would else be missed."""
SPEED_WEIGHT = 0.6
"""Of the newest speed in the running one: a single bad frame does not throw the region away."""
LONGEST_STEP = 0.3
"""In region sizes: a region never jumps farther than the network forgives a crop to be off."""
LONGEST_GAP = 0.25
"""Seconds over which motion is carried on; after a longer pause nobody knows."""


class RegionMotion:
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
                self._velocity[0] + SPEED_WEIGHT * (new[0] - self._velocity[0]),
                self._velocity[1] + SPEED_WEIGHT * (new[1] - self._velocity[1]),
            )
        self._roi, self._time = roi, timestamp

    def predict(self, timestamp: float) -> ROI:
        """Where to look for the face at a time, in seconds, shortly after the last one."""
        dx, dy = self._way(timestamp, LONGEST_GAP)
        reach = math.hypot(dx, dy)
        if reach > LONGEST_STEP * self._roi.size:
            dx, dy = (LONGEST_STEP * self._roi.size * d / reach for d in (dx, dy))
        return ROI(self._roi.cx + dx, self._roi.cy + dy, self._roi.size, self._roi.roll)

    def carried_on(self, timestamp: float, longest_gap: float) -> ROI:
        """Where the region would be if it had moved on unseen, for as many seconds at most."""
        dx, dy = self._way(timestamp, longest_gap)
        return ROI(self._roi.cx + dx, self._roi.cy + dy, self._roi.size, self._roi.roll)

    def _way(self, timestamp: float, longest_gap: float) -> tuple[float, float]:
        dt = min(max(timestamp - self._time, 0.0), longest_gap)
        return SHARE * self._velocity[0] * dt, SHARE * self._velocity[1] * dt
