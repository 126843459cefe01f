"""The command for a Raspberry Pi, with a tiny model on another machine."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import pi, soak
from benchmarks.__main__ import main
from benchmarks.board import BoardState
from benchmarks.latency import command as latency
from benchmarks.latency import processes
from benchmarks.pi import board_results
from benchmarks.results import Results
from edge_runtime.models import model_path
from platform_checks.device_outputs import device_outputs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(write_onnx, spec, tmp_path, monkeypatch):
    """A folder with a model that takes anything bright for a face."""
    monkeypatch.setattr(latency, "STARTS", 1)
    monkeypatch.setattr(latency, "MEMORY_RUNS", 1)
    monkeypatch.setattr(soak, "resident", lambda: 50.0)  # growth over a short run depends on the allocator
    sure = write_onnx(dataclasses.replace(spec, track_threshold=0.1, lost_threshold=0.05).to_json())
    (tmp_path / "models").mkdir()
    return sure.rename(tmp_path / "models" / "atpn.onnx").parent


def run(folder, out, *more):
    return main(["pi", "--models", str(folder), "--out", str(out), "--runs", "5", "--frames", "100", *map(str, more)])


@pytest.mark.slow
@pytest.mark.skipif(not processes.STATUS.is_file(), reason="no /proc on this system")
def test_pi_writes_a_report_and_lists_failures(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "pi"
    out.mkdir()
    (out / "soak.json").touch()
    assert run(folder, out) == 1, "there is no int8 file"
    error = capsys.readouterr().err
    assert "soak: no model file at" in error
    assert "latency:" not in error
    report = (out / "report.md").read_text()
    assert "atpn.onnx" in report
    assert "Failed: soak: no model file at" in report
    assert not (out / "soak.json").exists(), "that of an earlier run is removed"
    monkeypatch.setattr(pi.PiConfig, "soak_model", folder / "atpn.onnx")
    assert run(folder, out) == 0
    assert Results.read(out / "soak.json").curves
    assert "Failed" not in (out / "report.md").read_text()


def test_pi_compares_outputs_with_a_reference(tmp_path, monkeypatch, capsys):
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setattr(pi, "latency", lambda config: None)
    monkeypatch.setattr(pi, "soak", lambda config: None)
    shutil.copy(model_path("detector_fp32"), tmp_path)
    device_outputs([tmp_path / "detector_fp32.tflite"], 2).write(tmp_path / "reference.npz")
    assert run(tmp_path, tmp_path / "pi", "--reference", tmp_path / "reference.npz") == 0
    metrics = Results.read(tmp_path / "pi" / "pi.json").metrics
    largest = {metric.row: metric.value for metric in metrics if metric.column == "largest"}
    assert largest["detector_fp32.tflite"] == 0
    assert (tmp_path / "pi" / "outputs.npz").is_file()
    (tmp_path / "reference.npz").write_bytes(b"PK")
    assert run(tmp_path, tmp_path / "pi", "--reference", tmp_path / "reference.npz") == 1
    assert "outputs: " in capsys.readouterr().err


def test_board_results_describe_the_board(monkeypatch):
    monkeypatch.setattr(pi, "board_name", lambda: "Raspberry Pi 5 Model B Rev 1.0")
    results = board_results(BoardState(50.0, ()), BoardState(81.5, ("it is throttled",)), [], ["latency: why"])
    assert [(metric.column, metric.value) for metric in results.metrics] == [("before", 50.0), ("after", 81.5)]
    assert "Board: Raspberry Pi 5 Model B Rev 1.0." in results.notes
    assert "Throttling, after: it is throttled." in results.notes
    assert not any("Not a Raspberry Pi" in note for note in results.notes)
    monkeypatch.setattr(pi, "board_name", lambda: "")
    notes = board_results(BoardState(None, None), BoardState(None, None), [], []).notes
    assert any("Not a Raspberry Pi" in note for note in notes)
    assert any("no temperature" in note for note in notes)
    assert any("Throttling is unknown" in note for note in notes)


def test_pi_validates_options_of_its_parts(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["pi", "--frames", "5"])
    assert "--frames must be 100 or more, got 5" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["pi", "latency", "soak", "report"])
def test_commands_need_the_plain_install_only(command):
    code = (
        "import importlib, sys\n"
        "heavy = {'torch', 'scipy', 'onnx', 'onnxruntime', 'tyro', 'tqdm', 'safetensors', 'moderngl', 'matplotlib'}\n"
        "sys.modules.update(dict.fromkeys(heavy))\n"  # importing one of these fails
        "from benchmarks.__main__ import COMMANDS, main\n"
        "importlib.import_module('benchmarks.report')\n"  # imported late
        f"main(['{command}', '--help'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout
