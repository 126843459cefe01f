"""Ratios and tables from recorded times, and the whole command on made-up networks."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.peers.accuracy import Accuracy
from benchmarks.peers.ours import AtpnNetwork
from benchmarks.peers.report import report
from benchmarks.peers.timing import AROUND, NETWORK, STAGES, WHOLE, ClipTimes, Ratio, ratio, time_clip
from edge_runtime import ROI

CLIPS = [
    ClipTimes(f"{i}.mp4", 10, {NETWORK: {"a": a, "b": 4.0}, AROUND: {"a": 2.0, "b": 8.0}, WHOLE: {"a": 3.0}})
    for i, a in enumerate((1.0, 3.0, 2.0))
]


class CentreDetector:
    def detect(self, frame):
        return [ROI(160.0, 120.0, 120.0)]


@pytest.fixture
def clip(tmp_path):
    """25 bright frames, a dark gap among them."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 240))
    for level in [230] * 12 + [10] * 6 + [230] * 7:
        writer.write(np.full((240, 320, 3), level, np.uint8))
    writer.release()
    return path


def test_ratios_go_clip_by_clip():
    assert ratio(CLIPS, NETWORK, "a", "b") == Ratio(0.5, 0.25, 0.75)
    assert ratio(CLIPS, WHOLE, "a", "b", NETWORK) == Ratio(0.75, 0.75, 0.75)


def test_tables_say_what_was_divided_and_what_is_missing():
    scored = [Accuracy("b", 9, 1.2, 66, 5.5, 4.25, 10.0)]
    text = report(CLIPS, ["a"], ["b"], scored, {"c": "no file x/c.onnx"})
    assert "| network alone | b |" in text
    assert "| a | 0.50 (0.25 to 0.75) |" in text
    assert "| whole frame over their network alone | b |" in text
    assert "3 clips" in text
    assert "30 tracked frames" in text
    assert "| b | 66 | 1.2 | 5.50 | 4.25 | 10.0 |" in text
    assert "Left out: c, no file x/c.onnx." in text


def test_only_tracked_frames_are_timed(write_onnx, clip):
    times = time_clip(clip, [AtpnNetwork(write_onnx())], [], 100, CentreDetector())
    # Found in frame 0, held to 11 and, after the search in frame 22, in 23 and 24.
    assert times.frames == 13
    assert set(times.stages) == set(STAGES)
    assert times.stages[NETWORK]["tiny.onnx"] <= times.stages[AROUND]["tiny.onnx"]
    assert time_clip(clip, [AtpnNetwork(write_onnx())], [], 5, CentreDetector()).frames == 5


def test_a_clip_without_a_face_is_refused(write_onnx, clip):
    class Blind:
        def detect(self, frame):
            return []

    with pytest.raises(ValueError, match=r"clip\.avi"):
        time_clip(clip, [AtpnNetwork(write_onnx())], [], 5, Blind())


def test_the_command_writes_json_tables_and_a_picture(write_onnx, write_constant, clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("edge_runtime.tracker.default_detector", CentreDetector)
    monkeypatch.setattr("benchmarks.peers.timing.default_detector", CentreDetector)
    monkeypatch.setattr("benchmarks.peers.command.PICTURED_FRAME", 3)
    write_constant("peppa_slim160_68.onnx", 160, np.full(143, 0.5))
    model, out = write_onnx(), tmp_path / "out" / "peers.json"
    arguments = ["peers", "--peers", tmp_path, "--videos", clip, "--models", model, "--out", out, "--frames", 6]
    assert main([str(argument) for argument in arguments]) == 0
    result = json.loads(out.read_text())
    assert result["clips"][0]["frames"] == 6
    assert set(result["clips"][0]["stages"][NETWORK]) == {"tiny.onnx", "Peppa slim"}
    assert set(result["skipped"]) == {"OpenSeeFace", "MediaPipe", "PFLD-GhostOne", "GhostNet-Slim"}
    assert out.with_suffix(".md").read_text() == capsys.readouterr().out
    assert cv2.imread(str(out.with_suffix(".png"))).shape == (24 + 240, 2 * 240, 3)


def test_no_models_no_videos_and_no_frames(tmp_path, capsys):
    assert main(["peers", "--models", str(tmp_path)]) == 1
    assert "make export-tflite" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["peers", "--frames", "0"])
