"""The stability command."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.__main__ import main
from benchmarks.results import Results
from benchmarks.stability.scenarios import Scenario, Trajectory
from benchmarks.stability.steadiness import SMOOTHINGS


@pytest.fixture
def tiny(write_onnx, spec, center_detector, monkeypatch):
    """Flags for a network that takes brightness for a face, and a detector that knows its place."""
    monkeypatch.setattr("benchmarks.stability.command.NetworkDetector", center_detector)
    monkeypatch.setattr("edge_runtime.tracker.DOUBT_CONFIDENCE_MARGIN", 0.0)  # a brightness is no probability
    model = write_onnx(dataclasses.replace(spec, track_threshold=0.3, lost_threshold=0.1).to_json())
    return ["--models", str(model), "--detector", str(model)]


def test_stability_measures_videos_without_labels(tiny, clip, tmp_path, capsys):
    out = tmp_path / "out" / "stability.json"
    assert main(["stability", *tiny, "--people", "0", "--videos", str(clip.parent), "--out", str(out)]) == 0
    results = Results.read(out)
    assert {(metric.table, metric.row) for metric in results.metrics} == {("video clip.avi", "tiny.onnx")}
    values = {metric.column: metric.value for metric in results.metrics}
    # Lost in frame 12; searches in 12 and 17 fail, the one in 22 succeeds.
    assert (values["losses"], values["ids"], values["detector runs"]) == (1, 1, 4)
    assert values["tracked"] == pytest.approx(100 * 15 / 25)
    assert values["gap between faces"] == pytest.approx(11 / 25, abs=1e-3)
    assert values["failures per hour"] == pytest.approx(3600)
    assert values["flicker"] == pytest.approx(0, abs=1e-3)
    assert "clip.avi" in capsys.readouterr().out


def test_stability_measures_rendered_sequences(tiny, tmp_path, monkeypatch, capsys):
    pytest.importorskip("moderngl")
    glance = (Scenario("a glance", 0.5, (Trajectory([0], [0.5]),)),)
    for module in ("command", "scenes"):
        monkeypatch.setattr(f"benchmarks.stability.{module}.SCENARIOS", glance)
    out = tmp_path / "stability.json"
    arguments = [*tiny, "--people", "1", "--frames", "12", "--cache", str(tmp_path), "--out", str(out)]
    code, printed = main(["stability", *arguments]), capsys.readouterr()
    if "OpenGL" in printed.err:
        pytest.skip(printed.err)
    assert code == 0, printed.err
    results = Results.read(out)
    tables = {metric.table for metric in results.metrics}
    assert tables == {"still faces", "moving faces", "all scenes", "a glance"}
    assert {metric.row for metric in results.metrics} == {"tiny.onnx"}
    (curve,) = results.curves
    assert len(curve.x) == len(SMOOTHINGS)
    assert "NMF" in printed.out
    held = {metric.table: metric.value for metric in results.metrics if metric.column == "tracked"}
    assert held["still faces"] == 100


def test_stability_rejects_no_input(tiny, tmp_path, capsys):
    assert main([]) == 2
    assert "latency" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["stability", *tiny, "--people", "0"])
    assert "nothing to track" in capsys.readouterr().err
    assert main(["stability", "--models", str(tmp_path / "none")]) == 1
    assert "make export-tflite" in capsys.readouterr().err
