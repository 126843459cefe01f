"""The form that all benchmarks write."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.results import (
    Curve,
    Figure,
    Results,
    ResultsError,
    mean_and_noise,
    median_and_noise,
    percentile_and_noise,
)


def test_results_come_back_as_they_were_written(tmp_path):
    figures = [Figure("time", "a.tflite", "network", 1.5, "ms", 0.1), Figure("time", "a.tflite", "pose", None, "ms")]
    results = Results(
        "latency", figures, [Curve("CED", "a", "x", "y", [0, 1], [2, 3], ["a", "b"])], ["time"], ["a note"], {"seed": 3}
    )
    results.write(tmp_path / "latency.json")
    assert Results.read(tmp_path / "latency.json") == results
    assert results.machine["python"]


def test_two_figures_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"latency has two figures for time / a / network"):
        Results("latency", [Figure("time", "a", "network", 1, "ms"), Figure("time", "a", "network", 2, "ms")])


def test_a_curve_has_numbers_only():
    with pytest.raises(ValueError, match="the curve a of CED has points that are no numbers"):
        Curve("CED", "a", "x", "y", [0.0, 1.0], [0.0, float("nan")])


def test_only_a_table_that_is_there_can_be_stacked():
    with pytest.raises(ValueError, match="latency has no table 'tme' to stack"):
        Results("latency", [Figure("time", "a", "network", 1, "ms")], stacked=["tme"])


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "figures": [{}], "curves": []}'])
def test_another_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "odd.json").write_text(content)
    with pytest.raises(ResultsError, match=r"odd\.json is not a benchmark's results"):
        Results.read(tmp_path / "odd.json")


def test_numbers_that_are_not_finite_do_not_reach_the_file(tmp_path):
    results = Results("x", [Figure("t", "r", "c", float("nan"), "%"), Figure("t", "r", "d", float("inf"), "%")])
    results.write(tmp_path / "x.json")
    values = [figure["value"] for figure in json.loads((tmp_path / "x.json").read_text())["figures"]]
    assert values == [None, None]


def test_the_medians_noise_counts_drift_and_not_scatter_alone():
    rng = np.random.default_rng(0)
    steady = 1 + 0.1 * rng.standard_normal(200)
    drifting = steady + np.repeat(np.linspace(0, 1, 5), 40)
    assert median_and_noise(steady)[1] < 0.02 < 0.1 < median_and_noise(drifting)[1]
    assert median_and_noise([3.0, 1.0, 2.0]) == (2.0, 0.0)


def test_a_percentiles_noise_is_its_own():
    rng = np.random.default_rng(0)
    times = rng.exponential(1.0, 500)
    value, noise = percentile_and_noise(times, 95)
    assert value == pytest.approx(np.log(20), rel=0.15)
    assert noise > median_and_noise(times)[1] > 0


def test_the_means_noise_is_its_standard_error():
    values = np.random.default_rng(0).normal(5, 2, 400)
    mean, noise = mean_and_noise(values)
    assert mean == pytest.approx(values.mean())
    assert noise == pytest.approx(0.1, rel=0.1)
