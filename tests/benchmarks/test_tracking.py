"""The tracking command's figures, from tracks whose truth is known."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.tracking import flicker, found_again, lag, unbroken
from edge_runtime import ROI, Face, Pose, TrackState
from edge_runtime.smoothing import OneEuroPoints


def face(number, age):
    ray = np.array([0.0, 0.0, 1.0])
    points = np.zeros((98, 2))
    return Face(number, TrackState.TRACKED, points, np.ones(98), Pose(np.eye(3)), 0.9, ROI(0, 0, 10), ray, age)


def test_steady_motion_does_not_flicker_and_noise_does():
    rng = np.random.default_rng(0)
    moving = np.arange(400.0)[:, None, None] * (3.0, -1.0) + rng.uniform(0, 100, (98, 2))
    eyes = np.full(400, 50.0)
    assert flicker([moving], [eyes]) == pytest.approx(0, abs=1e-9)
    noisy = moving + rng.normal(0, 1.0, moving.shape)
    # The residual of white noise has variance 1 + 1/4 + 1/4 per axis: a Rayleigh mean of sqrt(1.5 * pi / 2).
    assert flicker([noisy], [eyes]) == pytest.approx(100 * np.sqrt(1.5 * np.pi / 2) / 50, rel=0.02)
    assert np.isnan(flicker([moving[:2]], [eyes[:2]]))


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_lag_is_the_delay_that_was_put_in(delay):
    times = np.arange(200)
    path = np.stack([np.sin(times / 9), np.cos(times / 7)], axis=1)[:, None] * 50
    later = np.concatenate([np.repeat(path[:1], delay, axis=0), path])[: len(path)]
    assert lag([path], [later]) == pytest.approx(delay, abs=0.05)


def test_smoothing_trades_flicker_for_lag():
    rng, times = np.random.default_rng(1), np.arange(300)
    path = np.stack([np.sin(times / 20), np.cos(times / 25)], axis=1)[:, None] * 30 + rng.normal(0, 0.5, (300, 98, 2))
    point_filter = OneEuroPoints(0.5)
    smooth = np.stack([point_filter(points, t / 30, 200.0) for t, points in zip(times, path, strict=True)])
    eyes = np.full(300, 60.0)
    assert flicker([smooth], [eyes]) < 0.6 * flicker([path], [eyes])
    assert lag([path], [smooth]) > 0


def test_stretches_end_where_the_face_changes_or_goes():
    ages = [None, (0, 0), (0, 1), None, (0, 0), (1, 0), (1, 1), (1, 2)]
    seen = [(float(i), None if pair is None else face(*pair)) for i, pair in enumerate(ages)]
    assert [[time for time, _ in run] for run in unbroken(seen)] == [[1, 2], [4], [5, 6, 7]]
    assert found_again(seen) == [2.0]
    assert found_again(seen[:4]) == []


def test_the_command_writes_what_it_prints(write_onnx, tmp_path, monkeypatch, capsys):
    class CentreDetector:
        def detect(self, frame):
            return [ROI(160.0, 120.0, 120.0)]

    monkeypatch.setattr("edge_runtime.tracker.default_detector", CentreDetector)
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 240))
    for level in [230] * 12 + [10] * 6 + [230] * 7:
        writer.write(np.full((240, 320, 3), level, np.uint8))
    writer.release()
    model, out = write_onnx(), tmp_path / "tracking.json"
    assert main(["tracking", "--videos", str(tmp_path), "--models", str(model), "--out", str(out)]) == 0
    (result,) = json.loads(out.read_text())["results"]
    assert (result["video"], result["frames"], result["losses"], result["ids"]) == ("clip.avi", 25, 1, 1)
    # Lost in frame 12; searches in 12 and 17 are vain, the one in 22 finds it.
    assert result["held"] == pytest.approx(15 / 25)
    assert result["redetections"] == 1
    assert result["found_again"] == pytest.approx(11 / 25, abs=1e-3)
    assert result["flicker"] == pytest.approx(0, abs=1e-3)
    assert "clip.avi" in capsys.readouterr().out


def test_unknown_commands_and_empty_folders(tmp_path, capsys):
    assert main([]) == 2
    assert "latency" in capsys.readouterr().err
    assert main(["tracking", "--models", str(tmp_path)]) == 1
    assert "make export-tflite" in capsys.readouterr().err
