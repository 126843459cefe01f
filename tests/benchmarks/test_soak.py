"""The soak command, on a short run."""

from __future__ import annotations

import pytest

from benchmarks import soak
from benchmarks.__main__ import main
from benchmarks.clip import EMPTY_FRAMES, PERIOD, frame_at, rendered_face
from benchmarks.latency import processes
from benchmarks.results import Results
from edge_runtime import ROI

pytestmark = pytest.mark.skipif(not processes.STATUS.is_file(), reason="no /proc on this system")


class FaceDetector:
    """Finds a face in every frame that is not empty."""

    def detect(self, frame):
        return [ROI(320.0, 240.0, 200.0)] if frame.std() > 5 else []


def test_clip_face_sways_leaves_and_returns():
    face = rendered_face()
    here, later, away, back = (frame_at(face, i) for i in (0, 20, PERIOD - EMPTY_FRAMES, PERIOD))
    assert here.shape == later.shape == away.shape == (480, 640, 3)
    assert (here != later).mean() > 0.1
    assert away.std() == 0
    assert (back.astype(int) - face).std() > 0, "it sways on"


def test_soak_fails_when_memory_grows(write_onnx, spec, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("edge_runtime.tracker.default_detector", FaceDetector)
    out = tmp_path / "soak.json"
    command = ["soak", "--model", str(write_onnx()), "--out", str(out), "--frames", "100"]
    assert main([*command, "--max-growth", "64"]) == 0
    results = Results.read(out)
    (curve,) = results.curves
    assert curve.x == list(range(10, 101, 10))
    assert min(curve.y) > 1
    metrics = {metric.column: metric.value for metric in results.metrics}
    assert metrics["memory left behind"] == curve.y[-1] - curve.y[0]
    assert metrics["frame, drawn and serialized"] > 0
    sizes = iter([49.0, *[50.0] * 9, 55.5])
    monkeypatch.setattr(soak, "resident", lambda: next(sizes))
    assert main([*command, "--max-growth", "5"]) == 1
    assert "memory grew by 5.5 MiB after frame 10, allowed 5.0" in capsys.readouterr().err
