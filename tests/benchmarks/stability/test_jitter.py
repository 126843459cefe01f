"""Flicker, lag and error, from tracks with known ground truth."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.stability.jitter import MAX_LAG, delayed, error, flicker, lag, nmf, sizes

RNG = np.random.default_rng(0)
FACE = RNG.uniform(0, 100, (98, 2))


def swaying(frames, seconds=3.0):
    times = np.arange(frames)[:, None] / 30 * 2 * np.pi / seconds
    return FACE + 40 * np.concatenate([np.sin(times), np.cos(times)], axis=1)[:, None]


def test_nmf_equals_the_papers_formula():
    labels = swaying(20)
    tracked = labels + RNG.normal(0, 1.0, labels.shape)
    total, count = 0.0, 0
    for t in range(1, 20):
        (left, top), (right, bottom) = labels[t].min(axis=0), labels[t].max(axis=0)
        for k in range(98):
            change = (tracked[t, k] - labels[t, k]) - (tracked[t - 1, k] - labels[t - 1, k])
            total += (change @ change) / ((right - left) * (bottom - top))
            count += 1
    assert nmf([tracked], [labels]) == pytest.approx(100 * (total / count) ** 0.5)


def test_flicker_ignores_constant_error_and_steady_motion():
    labels = swaying(60)
    assert nmf([labels + 7.0], [labels]) == pytest.approx(0, abs=1e-9)
    steady = FACE + np.arange(60.0)[:, None, None] * (3.0, -1.0)
    assert flicker([steady]) == pytest.approx(0, abs=1e-9)


def test_flicker_equals_nmf_for_independent_jitter():
    jitter = RNG.normal(0, 0.8, (400, 98, 2))
    still = np.broadcast_to(FACE, jitter.shape)
    steady = FACE + np.arange(400.0)[:, None, None] * (1.0, 0.5)
    expected = 100 * 2 * 0.8 / sizes(FACE)  # a difference has twice the variance, on each of two axes
    assert nmf([still + jitter], [still]) == pytest.approx(expected, rel=0.02)
    assert flicker([steady + jitter]) == pytest.approx(expected, rel=0.05)


def test_flicker_ignores_breaks_between_tracks():
    still = np.broadcast_to(FACE, (10, 98, 2))
    assert nmf([still, still + 50], [still, still]) == 0
    assert np.isnan(nmf([still[:1]], [still[:1]]))
    assert np.isnan(flicker([still[:2]]))
    assert np.isnan(flicker([]))


@pytest.mark.parametrize("delay", [0.0, 0.5, 1.0, 3.0, MAX_LAG])
def test_lag_equals_the_delay_at_any_offset(delay):
    path = swaying(120)
    later = np.concatenate([path[:MAX_LAG], delayed(path, delay)]) + np.array([5.0, -3.0])
    assert lag([path[MAX_LAG:]], [later[MAX_LAG:]]) == pytest.approx(delay, abs=0.021)


def test_lag_is_nan_for_short_tracks():
    assert np.isnan(lag([swaying(5)], [swaying(5)]))


def test_delayed_interpolates_earlier_points():
    path = swaying(30)
    assert delayed(path, 2.0) == pytest.approx(path[MAX_LAG - 2 : -2])
    assert delayed(path, 1.5) == pytest.approx((path[MAX_LAG - 1 : -1] + path[MAX_LAG - 2 : -2]) / 2)


def test_error_is_relative_to_face_size():
    labels = np.broadcast_to(FACE, (3, 98, 2))
    assert error([labels + np.array([3.0, 4.0])], [labels]) == pytest.approx(100 * 5 / sizes(FACE))
