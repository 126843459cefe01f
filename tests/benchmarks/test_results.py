"""The results that all benchmarks write."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.results import (
    Curve,
    Metric,
    Results,
    ResultsError,
    mean_and_error,
    median_and_error,
    percentile_and_error,
)


def test_results_survive_write_and_read(tmp_path):
    metrics = [Metric("time", "a.tflite", "network", 1.5, "ms", 0.1), Metric("time", "a.tflite", "pose", None, "ms")]
    results = Results(
        "latency", metrics, [Curve("CED", "a", "x", "y", [0, 1], [2, 3], ["a", "b"])], ["time"], ["a note"], {"seed": 3}
    )
    results.write(tmp_path / "latency.json")
    assert Results.read(tmp_path / "latency.json") == results
    assert results.machine["python"]


def test_format_1_is_read_with_new_names(tmp_path):
    row = {"table": "still faces", "row": "a.tflite", "unit": "%", "noise": 0.5}
    columns = {"held": "more", "NMF": "less", "frames": ""}
    figures = [row | {"column": column, "value": 1.0, "better": better} for column, better in columns.items()]
    content = {"format": 1, "benchmark": "endurance", "figures": figures, "curves": [], "machine": {}, "command": []}
    (tmp_path / "old.json").write_text(json.dumps(content))
    results = Results.read(tmp_path / "old.json")
    assert results.benchmark == "soak"
    assert [(m.column, m.lower_is_better) for m in results.metrics] == [
        ("tracked", False),
        ("NMF", True),
        ("frames", None),
    ]
    assert {m.std_error for m in results.metrics} == {0.5}


def test_results_reject_duplicate_metrics():
    with pytest.raises(ValueError, match=r"latency has two metrics for time / a / network"):
        Results("latency", [Metric("time", "a", "network", 1, "ms"), Metric("time", "a", "network", 2, "ms")])


def test_curve_rejects_nan():
    with pytest.raises(ValueError, match="curve 'a' of chart 'CED' has points that are not finite"):
        Curve("CED", "a", "x", "y", [0.0, 1.0], [0.0, float("nan")])


def test_results_reject_unknown_stacked_table():
    with pytest.raises(ValueError, match="latency has no table 'tme' to stack"):
        Results("latency", [Metric("time", "a", "network", 1, "ms")], stacked=["tme"])


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 3}', '{"format": 2, "metrics": [{}], "curves": []}', '{"format": 1}']
)
def test_read_rejects_another_file(tmp_path, content):
    (tmp_path / "odd.json").write_text(content)
    with pytest.raises(ResultsError, match=r"odd\.json is not a benchmark's results"):
        Results.read(tmp_path / "odd.json")


def test_values_that_are_not_finite_are_written_as_null(tmp_path):
    results = Results("x", [Metric("t", "r", "c", float("nan"), "%"), Metric("t", "r", "d", float("inf"), "%")])
    results.write(tmp_path / "x.json")
    values = [metric["value"] for metric in json.loads((tmp_path / "x.json").read_text())["metrics"]]
    assert values == [None, None]


def test_error_of_median_includes_drift():
    rng = np.random.default_rng(0)
    steady = 1 + 0.1 * rng.standard_normal(200)
    drifting = steady + np.repeat(np.linspace(0, 1, 5), 40)
    assert median_and_error(steady)[1] < 0.02 < 0.1 < median_and_error(drifting)[1]
    assert median_and_error([3.0, 1.0, 2.0]) == (2.0, 0.0)


def test_error_of_percentile_exceeds_that_of_median():
    rng = np.random.default_rng(0)
    times = rng.exponential(1.0, 500)
    value, std_error = percentile_and_error(times, 95)
    assert value == pytest.approx(np.log(20), rel=0.15)
    assert std_error > median_and_error(times)[1] > 0


def test_error_of_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(5, 2, 400)
    mean, std_error = mean_and_error(values)
    assert mean == pytest.approx(values.mean())
    assert std_error == pytest.approx(0.1, rel=0.1)
