"""The latency command, on a model that takes no time."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest

from benchmarks.__main__ import main
from benchmarks.frame_cost import SCENES
from benchmarks.latency import measure


@pytest.fixture
def model(write_onnx, spec):
    """A network that takes whatever it sees for a face."""
    return write_onnx(dataclasses.replace(spec, track_threshold=0.05, lost_threshold=0.04).to_json())


def test_every_stage_is_timed_and_the_median_lies_below_the_95th_percentile(model):
    result = measure(model, runs=20, threads=1)
    assert set(result.stages) == {"crop", "network", "decode", "pose", "smooth"}
    assert all(0 < timing.median <= timing.p95 for timing in result.stages.values())
    assert result.engine == "OnnxBackend"


def test_whole_frames_are_timed_for_one_face_and_for_three(model):
    frames = measure(model, runs=5, threads=1).frames
    assert {name: cost.faces for name, cost in frames.items()} == {name: faces for name, (faces, _) in SCENES.items()}
    assert frames["far"].region < 224 < frames["near"].region, "below and above what the crop rule samples finer"
    assert all(cost.share == cost.around / cost.network > 0 for cost in frames.values())


def test_a_model_that_holds_no_face_is_refused(write_onnx, spec):
    blind = write_onnx(dataclasses.replace(spec, track_threshold=0.99).to_json())
    with pytest.raises(ValueError, match="does not hold the rendered faces"):
        measure(blind, runs=5, threads=1)


def test_the_command_writes_a_report_with_machine_and_versions(model, tmp_path, monkeypatch, capsys):
    out = tmp_path / "latency.json"
    monkeypatch.setattr(sys, "argv", ["bench", "latency", "--models", str(model), "--out", str(out), "--runs", "5"])
    assert main() == 0
    report = json.loads(out.read_text())
    assert report["results"][0]["file"] == "tiny.onnx"
    assert report["machine"]["python"]
    assert report["versions"]["numpy"]
    assert set(report["results"][0]["frames"]) == set(SCENES)
    assert "tiny.onnx" in capsys.readouterr().out


def test_an_empty_folder_is_an_error_that_names_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "latency", "--models", str(tmp_path)])
    assert main() == 1
    assert "make export-tflite" in capsys.readouterr().err


def test_no_runs_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "latency", "--runs", "0"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "--runs" in capsys.readouterr().err
