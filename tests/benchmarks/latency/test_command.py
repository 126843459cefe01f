"""The latency command, on a tiny model."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from benchmarks.__main__ import main
from benchmarks.latency import command as latency
from benchmarks.latency import processes
from benchmarks.latency.command import FRAMES, MEMORY, START, LatencyConfig, measure
from benchmarks.latency.energy import EnergyMeter
from benchmarks.latency.overhead import SCENES, frame_times
from benchmarks.latency.stages import stages
from benchmarks.results import Results
from edge_runtime.backends import load_backend
from edge_runtime.draw import draw_faces

STAGES = {"crop", "network", "decode", "smooth", "pose", "draw"}


@pytest.fixture
def model(write_onnx, spec):
    """A network that takes any crop for a face."""
    return write_onnx(dataclasses.replace(spec, track_threshold=0.05, lost_threshold=0.04).to_json())


@pytest.fixture
def quick(monkeypatch):
    """Skip new processes, which have tests of their own."""
    monkeypatch.setattr(latency, "start", lambda path: {"import": 0.2, "whole": 0.5})
    monkeypatch.setattr(latency, "peak_memory", lambda path: (50.0, 60.0))


def by_table(results):
    tables = {}
    for metric in results.metrics:
        tables.setdefault(metric.table, {})[metric.row, metric.column] = metric.value
    return tables


def test_latency_measures_all_tables(model, quick):
    results = measure([model], LatencyConfig(runs=20, threads=(1, 2)))
    tables = by_table(results)
    for threads in ("1 thread", "2 threads"):
        medians, late = tables[f"latency, {threads}"], tables[f"latency, {threads}, 95th percentile"]
        assert {stage for _, stage in medians} == STAGES
        assert all(0 < value <= late[name] for name, value in medians.items())
    assert set(tables[FRAMES]) == {("tiny.onnx", f"{scene}{end}") for scene in SCENES for end in ("", ", overhead")}
    assert tables[START] == {("tiny.onnx", "import"): 0.2, ("tiny.onnx", "whole"): 0.5}
    assert tables[MEMORY]["tiny.onnx", "after imports"] == 10
    assert tables[MEMORY]["tiny.onnx", "file"] == model.stat().st_size / 1024
    assert results.settings["engines"] == {"tiny.onnx": "OnnxBackend"}


def test_timed_overlay_shows_a_face(model):
    drawn = stages(load_backend(model))["draw"]()
    assert (drawn != draw_faces(drawn, [])).sum() == 0
    assert len({tuple(pixel) for pixel in drawn.reshape(-1, 3)[::7] if pixel.max() == 255}) > 1, "saturated colors"


def test_scenes_have_rois_below_and_above_twice_the_input(model):
    far, near = (frame_times(load_backend(model), scene, 5) for scene in ("far", "near"))
    assert far.roi_size < 224 < near.roi_size
    assert len(far.network) == len(far.overhead) == 5
    assert min(far.network) > 0


def test_thread_counts_are_unique_and_0_means_all_cores():
    cores = os.cpu_count()
    assert LatencyConfig(threads=(1, cores, 0, 1)).thread_counts == list(dict.fromkeys([1, cores]))


def test_latency_notes_files_that_fail(write_onnx, spec, tmp_path, quick, capsys):
    blind = write_onnx(dataclasses.replace(spec, track_threshold=0.99).to_json())
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"broken" * 9)
    results = measure([broken, blind], LatencyConfig(runs=5, threads=(1,)))
    assert {row for row, _ in by_table(results)["latency, 1 thread"]} == {"tiny.onnx"}
    assert FRAMES not in by_table(results)
    warnings = capsys.readouterr().err
    for text in ("broken.onnx left out: ", "damaged", "tracked frame left out", "does not track the rendered faces"):
        assert any(text in note for note in results.notes)
        assert text in warnings


def test_latency_measures_energy_when_available(model, quick, tmp_path, monkeypatch):
    counter = iter(range(0, 10**9, 6000))
    monkeypatch.setattr(EnergyMeter, "find", lambda: EnergyMeter((tmp_path,)))
    monkeypatch.setattr(EnergyMeter, "read", lambda self: (next(counter),))
    results = measure([model], LatencyConfig(runs=10, threads=(1,)))
    assert by_table(results)[latency.ENERGY] == {("tiny.onnx", "1 thread"): pytest.approx(3.0)}
    assert not any("Energy" in note for note in results.notes)


def test_latency_writes_and_prints_results(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(latency, "STARTS", 1)
    monkeypatch.setattr(latency, "MEMORY_RUNS", 1)
    out = tmp_path / "latency.json"
    assert main(["latency", "--models", str(model), "--out", str(out), "--runs", "5", "--threads", "1"]) == 0
    results = Results.read(out)
    assert results.machine["python"]
    assert results.settings["threads"] == [1]
    assert "tiny.onnx" in capsys.readouterr().out
    if processes.STATUS.is_file():
        assert by_table(results)[MEMORY]["tiny.onnx", "peak memory"] > 10
    assert json.loads(out.read_text())["format"] == 2


def test_latency_fails_without_usable_files(tmp_path, capsys):
    assert main(["latency", "--models", str(tmp_path)]) == 1
    assert "make export-tflite" in capsys.readouterr().err
    (tmp_path / "broken.onnx").write_bytes(b"broken" * 9)
    assert main(["latency", "--models", str(tmp_path), "--runs", "5"]) == 1
    assert "no file can be measured" in capsys.readouterr().err


@pytest.mark.parametrize(("flag", "value"), [("--runs", "0"), ("--threads", "-1")])
def test_latency_rejects_invalid_numbers(flag, value, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["latency", flag, value])
    assert flag in capsys.readouterr().err
