"""Ratios from recorded times, and the whole command on tiny networks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.baselines.adapters import AtpnNetwork
from benchmarks.baselines.timing import NETWORK, PIPELINE, STAGES, WHOLE, ClipTimes, ratio, time_clip, time_metrics
from benchmarks.results import Results
from edge_runtime.sources import open_source

CLIPS = [
    ClipTimes(f"{i}.mp4", 2, {NETWORK: {"a": [a, a], "b": [4.0, 4.0]}, WHOLE: {"a": [3.0, 3.0]}})
    for i, a in enumerate((1.0, 3.0, 2.0))
]


def timed(clip, model, frames, detector):
    with open_source(str(clip)) as source:
        return time_clip(clip.name, source, [AtpnNetwork(model)], [], frames, detector())


def test_ratio_is_over_the_same_frames():
    assert ratio(CLIPS, NETWORK, "a", "b")[0] == 0.5
    assert ratio(CLIPS, WHOLE, "a", "b", NETWORK)[0] == 0.75
    drifting = [ClipTimes("slower", 20, {NETWORK: {"a": np.arange(1.0, 21), "b": np.arange(2.0, 42, 2)}})]
    assert ratio(drifting, NETWORK, "a", "b") == (0.5, 0.0), "a machine that slows down slows both"


def test_time_metrics_name_both_stages():
    metrics = {(f.table, f.row, f.column): f.value for f in time_metrics(CLIPS, ["a"], [])}
    assert metrics["time on this machine", "a", WHOLE] == 3.0
    stages = {NETWORK: {"a": [1.0], "b": [4.0]}, PIPELINE: {"a": [2.0], "b": [8.0]}, WHOLE: {"a": [3.0]}}
    metrics = {(f.table, f.row, f.column): f.value for f in time_metrics([ClipTimes("c", 1, stages)], ["a"], ["b"])}
    assert metrics["our whole tracked frame over their network alone", "a", "b"] == 0.75


def test_only_tracked_frames_are_timed(write_onnx, clip, center_detector):
    times = timed(clip, write_onnx(), 100, center_detector)
    # Found in frame 0, tracked to 11 and, after the search in frame 22, in 23 and 24.
    assert times.frames == 13
    assert set(times.stages) == set(STAGES)
    assert np.all(np.array(times.stages[NETWORK]["tiny.onnx"]) <= times.stages[PIPELINE]["tiny.onnx"])
    assert timed(clip, write_onnx(), 5, center_detector).frames == 5


def test_time_clip_rejects_a_clip_without_a_face(write_onnx, clip):
    class Blind:
        def detect(self, frame):
            return []

    with pytest.raises(ValueError, match=r"clip\.avi"):
        timed(clip, write_onnx(), 5, Blind)


def test_baselines_writes_results_and_an_overlay(
    write_onnx, write_constant, clip, center_detector, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("edge_runtime.tracker.default_detector", center_detector)
    monkeypatch.setattr("benchmarks.baselines.timing.default_detector", center_detector)
    monkeypatch.setattr("benchmarks.baselines.command.SHOWN_AGE", 3)
    write_constant("peppa_slim160_68.onnx", 160, np.full(143, 0.5))
    model, out = write_onnx(), tmp_path / "out" / "baselines.json"
    arguments = ["baselines", "--baselines", tmp_path, "--videos", clip, "--models", model, "--out", out, "--frames", 6]
    assert main([str(argument) for argument in arguments]) == 0
    result = Results.read(out)
    assert result.settings["clips"] == {"clip.avi": 6}
    assert {f.row for f in result.metrics if f.column == NETWORK} == {"tiny.onnx", "Peppa slim"}
    left_out = [note for note in result.notes if note.startswith("Left out")]
    assert [note.split()[2].rstrip(",") for note in left_out] == [
        "OpenSeeFace",
        "MediaPipe",
        "PFLD-GhostOne",
        "GhostNet-Slim",
    ]
    assert "Peppa slim" in capsys.readouterr().out
    assert cv2.imread(str(out.with_suffix(".png"))).shape == (24 + 240, 2 * 240, 3)


def test_baselines_rejects_no_models_and_no_frames(tmp_path, capsys):
    assert main(["baselines", "--models", str(tmp_path)]) == 1
    assert "make export-tflite" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["baselines", "--frames", "0"])
