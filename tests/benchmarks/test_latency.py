"""The latency command, on a model that takes no time."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks.__main__ import main
from benchmarks.latency import measure


def test_every_stage_is_timed_and_the_median_lies_below_the_95th_percentile(write_onnx):
    result = measure(write_onnx(), runs=20, threads=1)
    assert set(result.stages) == {"crop", "network", "decode", "pose", "smooth"}
    assert all(0 < timing.median <= timing.p95 for timing in result.stages.values())
    assert result.engine == "OnnxBackend"


def test_the_command_writes_a_report_with_machine_and_versions(write_onnx, tmp_path, monkeypatch, capsys):
    model = write_onnx()
    out = tmp_path / "latency.json"
    monkeypatch.setattr(sys, "argv", ["bench", "latency", "--models", str(model), "--out", str(out), "--runs", "5"])
    assert main() == 0
    report = json.loads(out.read_text())
    assert report["results"][0]["file"] == "tiny.onnx"
    assert report["machine"]["python"]
    assert report["versions"]["numpy"]
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
