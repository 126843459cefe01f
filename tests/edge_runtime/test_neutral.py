"""Resting faces are subtracted from expressions."""

import numpy as np
import pytest

from edge_runtime.neutral import MAX_NEUTRAL, RestingFaces

REST, BLINK = np.array([0.2, 0.0, 0.1]), np.array([1.0, 0.0, 0.1])


def test_a_resting_face_reads_zero_and_the_rest_of_the_range_stays():
    resting = RestingFaces()
    resting.begin(1.0)
    resting.watch({}, 0.0)  # waits for a face
    for i in range(31):
        assert resting.calibrating
        assert np.array_equal(resting.subtract(7, REST), REST)
        resting.watch({7: BLINK if i in (3, 4, 5) else REST}, 5.0 + i / 30)
    assert not resting.calibrating
    assert np.allclose(resting.subtract(7, REST), 0.0)
    assert np.allclose(resting.subtract(7, np.array([0.6, 0.5, 1.0])), [0.5, 0.5, 1.0])
    assert np.allclose(resting.subtract(7, np.array([0.1, 0.0, 0.0])), 0.0)
    assert np.array_equal(resting.subtract(8, REST), REST)


def test_another_calibration_replaces_the_first_when_it_ends():
    resting = RestingFaces()
    for rest in (REST, 2 * REST):
        resting.begin(0.5)
        resting.watch({0: rest}, 0.0)
        assert resting.subtract(0, 2 * REST)[0] == pytest.approx(0.4 if rest is REST else 0.25)
        resting.watch({0: rest}, 0.5)
        assert not resting.calibrating
    assert np.allclose(resting.subtract(0, 2 * REST), 0.0)


def test_a_coefficient_stays_reachable():
    resting = RestingFaces()
    resting.begin(0.1)
    for time in (0.0, 0.1):
        resting.watch({0: np.ones(3)}, time)
    found = resting.subtract(0, np.array([1.0, MAX_NEUTRAL, 0.9]))
    assert found == pytest.approx([1.0, 0.0, 0.5])


def test_timestamps_that_decrease_restart_the_calibration():
    resting = RestingFaces()
    resting.begin(1.0)
    for time in (100.0, 0.0, 0.9):
        resting.watch({0: REST}, time)
        assert resting.calibrating
    resting.watch({0: REST}, 1.0)
    assert not resting.calibrating


@pytest.mark.parametrize("seconds", [0, -1, 61, float("nan"), "1"])
def test_other_lengths_are_refused(seconds):
    with pytest.raises(ValueError, match=r"seconds must lie in \(0, 60\], got"):
        RestingFaces().begin(seconds)
