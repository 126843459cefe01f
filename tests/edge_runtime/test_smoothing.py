import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge_runtime.smoothing import (
    DERIVATIVE_CUTOFF_HZ,
    LANDMARK_SPEED_COEFFICIENT,
    OneEuroPoints,
    OneEuroRotation,
    low_pass_weight,
    min_cutoff_hz,
    turn_fraction,
)

RNG = np.random.default_rng(0)


def test_one_point_against_the_paper_written_out():
    """Algorithm 1 of the paper in scalars; a point moving along x has the speed |dx|."""
    signal, dt, size = RNG.normal(50, 2, 40).tolist(), 1 / 30, 200.0
    smooth = OneEuroPoints(0.4)
    previous, speed = signal[0], 0.0
    assert smooth(np.array([[signal[0], 0.0]]), 0.0, size)[0, 0] == signal[0]
    for i, x in enumerate(signal[1:], start=1):
        alpha = lambda cutoff: 1 / (1 + (1 / (2 * math.pi * cutoff)) / dt)  # noqa: E731
        speed += alpha(DERIVATIVE_CUTOFF_HZ) * ((x - previous) / dt / size - speed)
        previous += alpha(min_cutoff_hz(0.4) + LANDMARK_SPEED_COEFFICIENT * abs(speed)) * (x - previous)
        assert smooth(np.array([[x, 0.0]]), i * dt, size)[0, 0] == pytest.approx(previous)


def test_filter_reduces_noise_and_follows_motion():
    noise = RNG.normal(0, 1, (300, 98, 2))
    still = OneEuroPoints(0.5)
    calm = np.array([still(100 + n, i / 30, 200.0) for i, n in enumerate(noise)])
    assert calm[50:].std(axis=0).mean() < 0.55
    # A face that crosses twice its own size per second trails by under a twentieth of it.
    path = np.arange(60)[:, None, None] * np.array([400 / 30, 0.0])
    moving = OneEuroPoints(0.5)
    trail = [path[i] - moving(path[i] + np.zeros((98, 2)), i / 30, 200.0) for i in range(60)]
    assert abs(trail[-1]).max() < 10


def test_size_of_the_frame_does_not_matter():
    points = RNG.normal(50, 5, (20, 4, 2))
    small, large = OneEuroPoints(0.5), OneEuroPoints(0.5)
    for i, p in enumerate(points):
        assert np.allclose(small(p, i / 30, 100.0) * 8, large(p * 8, i / 30, 800.0))


def test_more_smoothing_reduces_noise():
    noise = RNG.normal(0, 1, (100, 1, 2))
    spread = []
    for knob in (0.01, 0.3, 0.6, 1.0):
        smooth = OneEuroPoints(knob)
        spread.append(np.std([smooth(n, i / 30, 200.0) for i, n in enumerate(noise)]))
    assert spread == sorted(spread, reverse=True)


@pytest.mark.parametrize("times", [[0, 0, 0], [5, 4, 3], [0, 1e9, -1e9]])
def test_filters_accept_timestamps_that_repeat_or_decrease(times):
    points, rotation = OneEuroPoints(0.5), OneEuroRotation(0.5)
    for t in times:
        assert np.isfinite(points(RNG.normal(size=(3, 2)), t, 10.0)).all()
        matrix = rotation(Rotation.random(random_state=1).as_matrix(), t)
        assert np.allclose(matrix @ matrix.T, np.eye(3))


def test_reset_clears_the_state():
    smooth = OneEuroPoints(1.0)
    smooth(np.zeros((2, 2)), 0.0, 10.0)
    smooth.reset()
    assert np.array_equal(smooth(np.full((2, 2), 100.0), 0.1, 10.0), np.full((2, 2), 100.0))


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.1])
def test_filters_reject_smoothing_out_of_bounds(bad):
    for kind in (OneEuroPoints, OneEuroRotation):
        with pytest.raises(ValueError, match="smoothing"):
            kind(bad)


def test_rotation_filter_returns_rotations_and_reduces_noise():
    truth = Rotation.from_euler("YXZ", [3.1, 0.2, -0.4])
    smooth, errors = OneEuroRotation(0.5), []
    for i in range(200):
        noisy = Rotation.from_rotvec(RNG.normal(0, 0.03, 3)) * truth
        matrix = smooth(noisy.as_matrix(), i / 30)
        assert np.allclose(matrix @ matrix.T, np.eye(3))
        assert np.linalg.det(matrix) == pytest.approx(1)
        errors.append((Rotation.from_matrix(matrix) * truth.inv()).magnitude())
    # Without a filter the mean error is 0.03 * sqrt(8 / pi) = 0.048.
    assert np.mean(errors[50:]) < 0.03


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.3, 2.0, 3.1])
@pytest.mark.parametrize("weight", [0.01, 0.3, 0.5, 0.99, 1.0])
def test_turn_fraction_equals_the_polar_decomposition_of_the_mean(angle, weight):
    from scipy.linalg import polar

    before, axis = Rotation.random(random_state=3), np.array([0.6, 0.0, -0.8])
    after = Rotation.from_rotvec(angle * axis) * before
    nearest = polar((1 - weight) * before.as_matrix() + weight * after.as_matrix())[0]
    turned = Rotation.from_rotvec(turn_fraction(angle, weight) * angle * axis) * before
    assert np.allclose(turned.as_matrix(), nearest, atol=1e-9)


def test_low_pass_weight_halves_where_it_should():
    assert low_pass_weight(1 / (2 * math.pi), 1.0) == pytest.approx(0.5)
