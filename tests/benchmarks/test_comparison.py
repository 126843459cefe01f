"""Two runs of a benchmark beside each other."""

from __future__ import annotations

import math

import pytest

from benchmarks.__main__ import main
from benchmarks.comparison import Change
from benchmarks.results import Figure, Results

MACHINE = {"processor": "A", "cores": 2, "mhz": {"now": 1000.0}, "versions": {"numpy": "2.0"}}


def figure(value, noise=0.0, unit="%", better="less", column="error"):
    return Figure("table", "a.tflite", column, value, unit, noise, better)


def written(path, *figures, benchmark="accuracy", machine=MACHINE, settings=None):
    Results(benchmark, figures, settings=settings or {}, machine=machine).write(path)
    return str(path)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (figure(5.0, 0.3), figure(6.4, 0.4), "same"),  # 1.4 of 3 * 0.5
        (figure(5.0, 0.3), figure(6.6, 0.4), "worse"),
        (figure(6.6, 0.4), figure(5.0, 0.3), "better"),
        (figure(6.6, 0.4, better="more"), figure(5.0, 0.3, better="more"), "worse"),
        (figure(6.6, 0.4, better=""), figure(5.0, 0.3, better=""), "changed"),
        (figure(5.0), figure(5.0 + 1e-6), "worse"),
        (figure(5.0), figure(5.0 * (1 + 1e-12)), "same"),
        (figure(0.0), figure(0.0), "same"),
        (figure(10.0, 0.01, "ms"), figure(10.9, 0.01, "ms"), "same"),  # far above its noise, below the floor
        (figure(10.0, 0.01, "ms"), figure(11.1, 0.01, "ms"), "worse"),
        (figure(10.0, 2.0, "s"), figure(15.0, 0.0, "s"), "same"),  # above the floor, within the noise
        (figure(10.0, 0.0, "ms"), figure(10.5, 0.0, "ms"), "same"),
    ],
)
def test_a_change_counts_above_noise_and_for_times_above_the_floor(before, after, verdict):
    assert Change(before, after).verdict(sigmas=3, floor=10) == verdict


def test_noise_of_the_difference_adds_both_squares():
    assert Change(figure(1.0, 3.0), figure(2.0, 4.0)).noise == math.hypot(3, 4) == 5


def test_files_are_compared_and_only_changes_are_listed(tmp_path, capsys):
    a = written(tmp_path / "a.json", figure(5.0, 0.3), figure(1.0, column="share"), figure(2.0, column="old"))
    b = written(tmp_path / "b.json", figure(6.6, 0.4), figure(1.0, column="share"), figure(None, column="new"))
    assert main(["compare", a, b]) == 0
    out = capsys.readouterr().out
    assert "1 worse, 0 better, 1 same" in out
    assert "| worse | table / a.tflite / error | 5 ± 0.3 % | 6.6 ± 0.4 % | +32.0 % | +3.2 |" in out
    assert "Only before: table / a.tflite / old." in out
    assert "Only after" not in out, "a figure without a value is none"
    assert "share" not in out
    assert main(["compare", a, b, "--all"]) == 0
    assert "| same | table / a.tflite / share | 1 % | 1 % | +0 % |  |" in capsys.readouterr().out


def test_options_move_the_bounds_and_the_gate_exits_with_3(tmp_path, capsys):
    a = written(tmp_path / "a.json", figure(5.0, 0.3))
    b = written(tmp_path / "b.json", figure(6.6, 0.4))
    with pytest.raises(SystemExit, match="3"):
        main(["compare", a, b, "--gate"])
    assert main(["compare", a, b, "--gate", "--sigmas", "4"]) == 0
    assert main(["compare", b, a, "--gate"]) == 0, "better is not worse"
    with pytest.raises(SystemExit, match="2"):
        main(["compare", a, b, "--floor", "-1"])
    assert "--floor must be 0 or more" in capsys.readouterr().err


def test_what_else_differed_is_told_first_and_other_machines_with_a_warning(tmp_path, capsys):
    other = {**MACHINE, "processor": "B", "mhz": {"now": 900.0}, "versions": {"numpy": "2.1", "torch": "2.6"}}
    a = written(tmp_path / "a.json", figure(5.0), settings={"seed": 1})
    b = written(tmp_path / "b.json", figure(6.0), settings={"seed": 2}, machine=other)
    main(["compare", a, b])
    out = capsys.readouterr().out
    conditions, _, rest = out.partition("1 worse")
    assert rest
    for line in ("`processor`: A → B", "`versions.numpy`: 2.0 → 2.1", "`versions.torch`: not told → 2.6"):
        assert line in conditions
    assert "`seed`: 1 → 2" in conditions
    assert "**Warning**: the machines differ" in conditions
    assert "mhz" not in out
    main(["compare", a, written(tmp_path / "c.json", figure(6.0), settings={"seed": 2})])
    assert "Warning" not in capsys.readouterr().out


def test_folders_are_matched_by_the_benchmarks_name(tmp_path, capsys):
    for folder, extra, value in (("a", "old", 5.0), ("b", "new", 4.0)):
        written(tmp_path / folder / f"{extra}.json", figure(1.0), benchmark=extra)
        written(tmp_path / folder / f"first-{folder}.json", figure(value))
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    assert f"Only in {tmp_path / 'a'}: old." in out
    assert f"Only in {tmp_path / 'b'}: new." in out
    assert out.count("## ") == 1
    assert "0 worse, 1 better, 0 same" in out


def test_a_figure_in_another_unit_is_another_figure(tmp_path, capsys):
    a, b = (written(tmp_path / f"{unit}.json", figure(5.0, unit=unit)) for unit in ("ms", "s"))
    main(["compare", a, b])
    out = capsys.readouterr().out
    assert "0 worse, 0 better, 0 same" in out
    assert "Only before: table / a.tflite / error." in out
    assert "Only after: table / a.tflite / error." in out


def test_what_cannot_be_compared_is_refused(tmp_path, capsys):
    a = written(tmp_path / "a.json", figure(5.0))
    b = written(tmp_path / "b.json", figure(5.0), benchmark="latency")
    assert main(["compare", a, b]) == 1
    assert "holds accuracy" in capsys.readouterr().err
    assert main(["compare", a, str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err
    written(tmp_path / "c.json", figure(5.0))
    assert main(["compare", a, str(tmp_path)]) == 1
    assert "two results of accuracy" in capsys.readouterr().err
    (tmp_path / "a.json").write_text("{}")
    assert main(["compare", a, b]) == 1
    assert "is not a benchmark's results" in capsys.readouterr().err
