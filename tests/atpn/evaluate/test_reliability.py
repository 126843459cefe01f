import numpy as np
import pytest

from atpn.evaluate.reliability import calibration, reliability_bins, reliability_report
from edge_runtime.landmarks import IBUG_68


def honest(shape):
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.01, 0.1, shape)
    return np.linalg.norm(rng.normal(size=(*shape, 2)) * sigma[..., None], axis=-1), sigma


def test_calibration_of_honest_sigmas():
    distance, sigma = honest((20000,))
    report = calibration(distance, sigma)
    assert report["scale"] == pytest.approx(1.0, abs=0.02)
    assert report["rank_correlation"] > 0.6
    assert calibration(distance, sigma / 2)["scale"] == pytest.approx(2.0, abs=0.04)


def test_bins_of_honest_sigmas_lie_on_the_diagonal():
    bins = reliability_bins(*honest((20000,)))
    assert len(bins["predicted"]) == 10
    assert bins["predicted"] == sorted(bins["predicted"])
    np.testing.assert_allclose(bins["actual"], bins["predicted"], rtol=0.06)


def test_a_wrong_part_is_told_by_name():
    distance, sigma = honest((2000, 68))
    sigma[:, :17] /= 3
    report = reliability_report(distance, sigma, IBUG_68)
    assert report["parts"]["jaw"]["scale"] == pytest.approx(3, abs=0.1)
    assert report["parts"]["mouth"]["scale"] == pytest.approx(1, abs=0.05)
