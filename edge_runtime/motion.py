"""Motion model of one face's ROI."""

from __future__ import annotations

import math

from edge_runtime.geometry import ROI

PREDICTION_GAIN = 0.7
"""Fraction of the estimated motion that is predicted. Raise it to follow faster heads; a head that stops is then
overshot farther."""
VELOCITY_EMA_WEIGHT = 0.6
"""Weight of the newest velocity in the running mean. Lower it to damp single bad frames."""
MAX_STEP = 0.3
"""Maximum predicted displacement, in ROI sizes: the offset of a crop that the network tolerates."""
MAX_GAP_SECONDS = 0.25
"""Maximum time over which motion is predicted, in seconds."""


MIN_TIME_STEP = 1e-3
"""Minimum time between two frames that tells a velocity, in seconds. Over a shorter one, jitter counts more than
motion, and the quotient has no limit."""


class RoiMotion:
    """Position and velocity of one face's ROI."""

    def __init__(self, roi: ROI, timestamp: float) -> None:
        self.roi, self._time = roi, timestamp
        self._velocity = (0.0, 0.0)

    def update(self, roi: ROI, timestamp: float) -> None:
        """Add an observed ROI. The velocity is kept if `timestamp` (seconds) increases by less than `MIN_TIME_STEP`."""
        dt = timestamp - self._time
        if dt >= MIN_TIME_STEP:
            newest = ((roi.cx - self.roi.cx) / dt, (roi.cy - self.roi.cy) / dt)
            self._velocity = (
                self._velocity[0] + VELOCITY_EMA_WEIGHT * (newest[0] - self._velocity[0]),
                self._velocity[1] + VELOCITY_EMA_WEIGHT * (newest[1] - self._velocity[1]),
            )
        self.roi, self._time = roi, timestamp

    @property
    def speed(self) -> float:
        """Speed in ROI sizes a second."""
        return math.hypot(*self._velocity) / self.roi.size

    def predict(self, timestamp: float) -> ROI:
        """Predict the ROI of the next frame, taken at `timestamp` seconds."""
        return self._moved(timestamp, MAX_GAP_SECONDS, MAX_STEP * self.roi.size)

    def extrapolate(self, timestamp: float, max_gap: float) -> ROI:
        """Extrapolate the ROI of a lost face to `timestamp`, over at most `max_gap` seconds."""
        return self._moved(timestamp, max_gap, math.inf)

    def _moved(self, timestamp: float, max_gap: float, max_distance: float) -> ROI:
        dt = min(max(timestamp - self._time, 0.0), max_gap)
        dx, dy = PREDICTION_GAIN * self._velocity[0] * dt, PREDICTION_GAIN * self._velocity[1] * dt
        distance = math.hypot(dx, dy)
        if distance > max_distance:
            dx, dy = max_distance * dx / distance, max_distance * dy / distance
        return ROI(self.roi.cx + dx, self.roi.cy + dy, self.roi.size, self.roi.roll)
