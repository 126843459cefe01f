"""The endurance command, on a short run."""

from __future__ import annotations

import pytest

from benchmarks import endurance
from benchmarks.__main__ import main
from benchmarks.clip import AWAY, PERIOD, frame_at, rendered_face
from benchmarks.latency import memory
from benchmarks.results import Results
from edge_runtime import ROI

pytestmark = pytest.mark.skipif(not memory.STATUS.is_file(), reason="this system tells no memory in /proc")


class FaceDetector:
    """Finds the face wherever the picture is not the clip's empty grey."""

    def detect(self, frame):
        return [ROI(320.0, 240.0, 200.0)] if frame.std() > 5 else []


def test_the_clips_face_moves_and_leaves_and_comes_back():
    face = rendered_face()
    here, later, away, back = (frame_at(face, i) for i in (0, 20, PERIOD - AWAY, PERIOD))
    assert here.shape == later.shape == away.shape == (480, 640, 3)
    assert (here != later).mean() > 0.1
    assert away.std() == 0
    assert (back.astype(int) - face).std() > 0, "it sways on"


def test_the_command_counts_memory_and_fails_when_it_grows(write_onnx, spec, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("edge_runtime.tracker.default_detector", FaceDetector)
    out = tmp_path / "endurance.json"
    command = ["endurance", "--model", str(write_onnx()), "--out", str(out), "--frames", "100"]
    assert main([*command, "--most", "64"]) == 0
    results = Results.read(out)
    (curve,) = results.curves
    assert curve.x == list(range(10, 101, 10))
    assert min(curve.y) > 1
    figures = {figure.column: figure.value for figure in results.figures}
    assert figures["memory left behind"] == curve.y[-1] - curve.y[0]
    assert figures["frame, drawn and serialised"] > 0
    sizes = iter([49.0, *[50.0] * 9, 55.5])
    monkeypatch.setattr(endurance, "resident", lambda: next(sizes))
    assert main([*command, "--most", "5"]) == 1
    assert "5.5 MiB were left behind after frame 10, 5.0 at most" in capsys.readouterr().err
