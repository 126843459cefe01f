"""The loop with whatever a clock can give."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from edge_runtime import FaceTracker, TrackerOptions
from edge_runtime.geometry import ROI
from edge_runtime.motion import RoiMotion

HOSTILE = {
    "nearly equal": [1e-310 * i for i in range(12)],
    "a nanosecond apart": [7.0 + 1e-9 * i for i in range(12)],
    "equal": [3.0] * 12,
    "backwards": [-0.1 * i for i in range(12)],
    "from end to end": [1.7e308, -1.7e308] * 6,
    "huge whole numbers": [10**15 * i for i in range(12)],
    "mixed": [0.0, 5e-324, 1e-200, 1.7e308, -1.7e308, 0.0, -0.0, 1e-310, 2e-310, 1.0, 1.0 + 1e-15, 1e9],
}


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@pytest.mark.parametrize("times", HOSTILE.values(), ids=HOSTILE)
def test_no_timestamps_stop_the_loop(backend, detector, frame, times, smoothing):
    backend.confidence = 0.98
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, smoothing=smoothing, max_faces=2))
    rng = random.Random(0)
    for time in times:
        backend.shift = np.array([rng.uniform(-0.05, 0.05), rng.uniform(-0.05, 0.05)])
        backend.pose = np.array([rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), 0.0])
        for face in tracker.update(frame, time):
            assert np.isfinite(face.landmarks).all()
            assert np.isfinite(face.pose.matrix).all()
            assert np.hypot(*(face.landmarks.mean(axis=0) - (160, 120))) < 200
    backend.shift = np.zeros(2)
    last = max(map(float, times))
    if last < 1e300:  # beyond, a frame's time is lost in rounding
        assert [len(tracker.update(frame, last + i / 30)) for i in range(1, 8)][-1] == 1


def test_a_time_step_without_an_end_tells_no_velocity():
    motion = RoiMotion(ROI(0, 0, 50), 0.0)
    motion.update(ROI(10, 0, 50), 0.1)
    speed = motion.speed
    motion.update(ROI(20, 0, 50), 0.1 + 1e-7)
    assert motion.speed == speed
    assert motion.predict(0.2).cx > 20


@pytest.mark.parametrize("timestamp", [math.nan, math.inf, 10**400, "1", True, Fraction(10**400)])
def test_other_timestamps_are_refused_and_leave_the_loop_as_it_was(backend, detector, frame, timestamp):
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector))
    tracker.update(frame, 0.0)
    with pytest.raises(ValueError, match="timestamp must be a finite number of seconds, got"):
        tracker.update(frame, timestamp)
    assert tracker.stats.frames == 1
    assert len(tracker.update(frame, np.float32(0.1))) == 1
