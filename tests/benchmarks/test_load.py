"""The load command, on a short run."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks import load
from benchmarks.__main__ import main
from benchmarks.latency import processes
from benchmarks.load import Checkpoint, growth, slope
from benchmarks.results import Results

pytestmark = pytest.mark.skipif(not processes.STATUS.is_file(), reason="no /proc on this system")


def test_a_short_load_leaves_no_file_and_no_thread(tmp_path, capsys):
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("websockets")
    out = tmp_path / "load.json"
    # 1500 frames have two absences of the face. Memory of short runs depends on the allocator.
    command = ["load", "--out", str(out), "--hours", "0.0139", "--clients", "20", "--openings", "10"]
    assert main([*command, "--max-growth", "64"]) == 0
    results = Results.read(out)
    values = {(metric.row, metric.column): metric.value for metric in results.metrics}
    for part in ("camera", "clients", "openings"):
        assert values[part, "files left open"] == 0
        assert values[part, "threads left behind"] == 0
        assert values[part, "memory"] > 1
    assert [len(curve.x) for curve in results.curves] == [10, 10, 10]
    assert [curve.x[-1] for curve in results.curves] == [1501, 20, 10]
    assert len(capsys.readouterr().out.splitlines()) == 32


def test_what_grows_is_an_error(tmp_path, monkeypatch, capsys):
    points = [Checkpoint(count, 50 + 2 * count, 9, 2) for count in range(1, 11)]
    assert slope(points, 1000) == pytest.approx(2000)
    assert growth("clients", points, 18) == []
    assert growth("clients", points, 17) == ["clients: memory grew by 18.0 MiB after 1, allowed 17"]
    points[-1] = dataclasses.replace(points[0], files=12, threads=3)
    assert growth("a", points, 1) == ["a: 3 files were left after 1", "a: 1 threads were left after 1"]
    for name in ("run_camera", "run_clients", "run_openings"):
        monkeypatch.setattr(load, name, lambda count: iter(points))
    assert main(["load", "--out", str(tmp_path / "load.json")]) == 1
    assert "error: camera: 3 files were left after 1" in capsys.readouterr().err
