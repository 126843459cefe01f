"""Comparison of two runs of a benchmark."""

from __future__ import annotations

import math

import pytest

from benchmarks.__main__ import main
from benchmarks.comparison import Change
from benchmarks.results import Metric, Results

MACHINE = {"processor": "A", "cores": 2, "mhz": {"now": 1000.0}, "versions": {"numpy": "2.0"}}


def metric(value, std_error=0.0, unit="%", lower_is_better=True, column="error"):
    return Metric("table", "a.tflite", column, value, unit, std_error, lower_is_better)


def written(path, *metrics, benchmark="accuracy", machine=MACHINE, settings=None):
    Results(benchmark, metrics, settings=settings or {}, machine=machine).write(path)
    return str(path)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (metric(5.0, 0.3), metric(6.4, 0.4), "same"),  # 1.4 of 3 * 0.5
        (metric(5.0, 0.3), metric(6.6, 0.4), "worse"),
        (metric(6.6, 0.4), metric(5.0, 0.3), "better"),
        (metric(6.6, 0.4, lower_is_better=False), metric(5.0, 0.3, lower_is_better=False), "worse"),
        (metric(6.6, 0.4, lower_is_better=None), metric(5.0, 0.3, lower_is_better=None), "changed"),
        (metric(5.0), metric(5.0 + 1e-6), "worse"),
        (metric(5.0), metric(5.0 * (1 + 1e-12)), "same"),
        (metric(0.0), metric(0.0), "same"),
        (metric(10.0, 0.01, "ms"), metric(10.9, 0.01, "ms"), "same"),  # significant, but below the floor
        (metric(10.0, 0.01, "ms"), metric(11.1, 0.01, "ms"), "worse"),
        (metric(10.0, 2.0, "s"), metric(15.0, 0.0, "s"), "same"),  # above the floor, but not significant
        (metric(10.0, 0.0, "ms"), metric(10.5, 0.0, "ms"), "same"),
    ],
)
def test_verdict_respects_standard_error_and_floor(before, after, verdict):
    assert Change(before, after).verdict(sigmas=3, floor=10) == verdict


def test_error_of_difference_adds_in_quadrature():
    assert Change(metric(1.0, 3.0), metric(2.0, 4.0)).std_error == math.hypot(3, 4) == 5


def test_compare_lists_changes_only(tmp_path, capsys):
    a = written(tmp_path / "a.json", metric(5.0, 0.3), metric(1.0, column="share"), metric(2.0, column="old"))
    b = written(tmp_path / "b.json", metric(6.6, 0.4), metric(1.0, column="share"), metric(None, column="new"))
    assert main(["compare", a, b]) == 0
    out = capsys.readouterr().out
    assert "1 worse, 0 better, 1 same" in out
    assert "| worse | table / a.tflite / error | 5 ± 0.3 % | 6.6 ± 0.4 % | +32.0 % | +3.2 |" in out
    assert "Only before: table / a.tflite / old." in out
    assert "Only after" not in out, "a metric without a value is none"
    assert "share" not in out
    assert main(["compare", a, b, "--all"]) == 0
    assert "| same | table / a.tflite / share | 1 % | 1 % | +0 % |  |" in capsys.readouterr().out


def test_compare_gate_exits_with_3(tmp_path, capsys):
    a = written(tmp_path / "a.json", metric(5.0, 0.3))
    b = written(tmp_path / "b.json", metric(6.6, 0.4))
    with pytest.raises(SystemExit, match="3"):
        main(["compare", a, b, "--gate"])
    assert main(["compare", a, b, "--gate", "--sigmas", "4"]) == 0
    assert main(["compare", b, a, "--gate"]) == 0, "better is not worse"
    with pytest.raises(SystemExit, match="2"):
        main(["compare", a, b, "--floor", "-1"])
    assert "--floor must be 0 or more" in capsys.readouterr().err


def test_a_gate_fails_for_what_is_missing(tmp_path, capsys):
    a = written(tmp_path / "a.json", metric(5.0), metric(1.0, column="share"))
    for name, left in (("none", ()), ("not a number", (metric(math.nan, column="share"),))):
        b = written(tmp_path / f"{name}.json", metric(5.0), *left)
        assert main(["compare", a, b]) == 0
        assert "Only before: table / a.tflite / share." in capsys.readouterr().out
        with pytest.raises(SystemExit, match="3"):
            main(["compare", a, b, "--gate"])
        assert main(["compare", b, a, "--gate"]) == 0, "a metric more is not worse"
    with pytest.raises(SystemExit, match="3"):
        main(["compare", a, written(tmp_path / "renamed.json", metric(5.0), metric(1.0, column="part")), "--gate"])


def test_a_gate_fails_for_a_benchmark_that_did_not_run(tmp_path):
    for folder in ("a", "b"):
        written(tmp_path / folder / "accuracy.json", metric(5.0))
    written(tmp_path / "a" / "latency.json", metric(5.0), benchmark="latency")
    assert main(["compare", str(tmp_path / "b"), str(tmp_path / "a"), "--gate"]) == 0
    with pytest.raises(SystemExit, match="3"):
        main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--gate"])


def test_compare_prints_conditions_and_warns_of_other_machines(tmp_path, capsys):
    other = {**MACHINE, "processor": "B", "mhz": {"now": 900.0}, "versions": {"numpy": "2.1", "torch": "2.6"}}
    a = written(tmp_path / "a.json", metric(5.0), settings={"seed": 1})
    b = written(tmp_path / "b.json", metric(6.0), settings={"seed": 2}, machine=other)
    main(["compare", a, b])
    out = capsys.readouterr().out
    conditions, _, rest = out.partition("1 worse")
    assert rest
    for line in ("`processor`: A → B", "`versions.numpy`: 2.0 → 2.1", "`versions.torch`: unknown → 2.6"):
        assert line in conditions
    assert "`seed`: 1 → 2" in conditions
    assert "**Warning**: the machines differ" in conditions
    assert "mhz" not in out
    main(["compare", a, written(tmp_path / "c.json", metric(6.0), settings={"seed": 2})])
    assert "Warning" not in capsys.readouterr().out


def test_compare_matches_folders_by_benchmark(tmp_path, capsys):
    for folder, extra, value in (("a", "old", 5.0), ("b", "new", 4.0)):
        written(tmp_path / folder / f"{extra}.json", metric(1.0), benchmark=extra)
        written(tmp_path / folder / f"first-{folder}.json", metric(value))
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    assert f"Only in {tmp_path / 'a'}: old." in out
    assert f"Only in {tmp_path / 'b'}: new." in out
    assert out.count("## ") == 1
    assert "0 worse, 1 better, 0 same" in out


def test_compare_distinguishes_units(tmp_path, capsys):
    a, b = (written(tmp_path / f"{unit}.json", metric(5.0, unit=unit)) for unit in ("ms", "s"))
    main(["compare", a, b])
    out = capsys.readouterr().out
    assert "0 worse, 0 better, 0 same" in out
    assert "Only before: table / a.tflite / error." in out
    assert "Only after: table / a.tflite / error." in out


def test_compare_rejects_unrelated_results(tmp_path, capsys):
    a = written(tmp_path / "a.json", metric(5.0))
    b = written(tmp_path / "b.json", metric(5.0), benchmark="latency")
    assert main(["compare", a, b]) == 1
    assert "has accuracy" in capsys.readouterr().err
    assert main(["compare", a, str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err
    written(tmp_path / "c.json", metric(5.0))
    assert main(["compare", a, str(tmp_path)]) == 1
    assert "two results of accuracy" in capsys.readouterr().err
    (tmp_path / "a.json").write_text("{}")
    assert main(["compare", a, b]) == 1
    assert "is not a benchmark's results" in capsys.readouterr().err
