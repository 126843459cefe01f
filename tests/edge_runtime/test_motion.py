import pytest

from edge_runtime import ROI
from edge_runtime.motion import MAX_GAP_SECONDS, MAX_STEP, PREDICTION_GAIN, RoiMotion


def moving(speed, steps=12, dt=1 / 30):
    motion = RoiMotion(ROI(0, 0, 100), 0.0)
    for i in range(1, steps):
        motion.update(ROI(speed * i * dt, 0, 100, 0.1), i * dt)
    return motion, speed * (steps - 1) * dt, (steps - 1) * dt


def test_predict_follows_steady_motion():
    motion, x, now = moving(300.0)
    ahead = motion.predict(now + 1 / 30)
    assert ahead.cx == pytest.approx(x + PREDICTION_GAIN * 10, rel=1e-3)
    assert (ahead.cy, ahead.size, ahead.roll) == (0, 100, 0.1)


def test_predict_keeps_a_face_at_rest():
    motion, _, now = moving(0.0)
    assert motion.predict(now + 0.1) == ROI(0, 0, 100, 0.1)


def test_predict_limits_the_step():
    motion, x, now = moving(9000.0)
    assert motion.predict(now + 1 / 30).cx == pytest.approx(x + MAX_STEP * 100)


def test_predict_limits_the_gap():
    motion, _, now = moving(60.0)
    assert motion.predict(now + 60) == motion.predict(now + MAX_GAP_SECONDS)


@pytest.mark.parametrize("step", [0.0, -1.0])
def test_update_keeps_the_velocity_when_time_does_not_increase(step):
    motion, x, now = moving(300.0)
    motion.update(ROI(x + 50, 0, 100), now + step)
    ahead = motion.predict(now + step)
    assert ahead.cx == pytest.approx(x + 50)
