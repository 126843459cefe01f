"""The smoothing command, on the procedural head and a network whose landmarks never move."""

from __future__ import annotations

import dataclasses
import itertools
import json

import cv2
import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.smoothing import KNOBS, tradeoff
from edge_runtime import ROI, Face, Pose, TrackState


def run_of(points):
    ray = np.array([0.0, 0.0, 1.0])
    return [
        (t / 30, Face(0, TrackState.TRACKED, each, np.ones(98), Pose(np.eye(3)), 0.9, ROI(0, 0, 200), ray, t))
        for t, each in enumerate(points)
    ]


def test_a_stronger_smoothing_flickers_less_and_lags_more():
    rng, times = np.random.default_rng(0), np.arange(200)[:, None, None]
    shape = rng.uniform(0, 120, (98, 2))
    still = [run_of(shape + rng.normal(0, 0.5, (200, 98, 2)))]
    moving = [run_of(shape + 30 * np.sin(times / (15, 20)))]
    results = [tradeoff("made up", "wflw98", knob, still, moving) for knob in KNOBS]
    assert results[0].lag == 0.0
    assert all(a.flicker_still > b.flicker_still for a, b in itertools.pairwise(results))
    assert all(a.lag <= b.lag for a, b in itertools.pairwise(results))
    assert results[-1].lag > 0.2


def test_the_command_draws_what_it_measures(write_onnx, spec, tmp_path, capsys):
    pytest.importorskip("moderngl")
    from atpn.synthetic.gl import GraphicsError
    from benchmarks.motion import moving, open_renderer, still

    try:
        renderer = open_renderer(None, tmp_path)
    except GraphicsError as error:
        pytest.skip(str(error))
    calm, turning = still(renderer, 0, 3), moving(renderer, 0, 12)
    assert calm.regions[0] == calm.regions[2]
    assert 0 < np.abs(calm.frames[0].astype(int) - calm.frames[2]).mean() < 10, "only the noise is new"
    assert turning.regions[11].cx - turning.regions[0].cx > 20

    out = tmp_path / "smoothing.json"
    easily_sure = dataclasses.replace(spec, track_threshold=0.05, lost_threshold=0.01).to_json()
    arguments = ["--models", write_onnx(easily_sure), "--out", out, "--people", 1, "--frames", 12, "--cache", tmp_path]
    assert main(["smoothing", *map(str, arguments)]) == 0, capsys.readouterr().err
    results = json.loads(out.read_text())["results"]
    assert [each["smoothing"] for each in results] == list(KNOBS)
    assert "tiny.onnx" in capsys.readouterr().out
    assert cv2.imread(str(out.with_suffix(".png"))) is not None
    arguments[1] = write_onnx(dataclasses.replace(spec, track_threshold=0.99).to_json())
    assert main(["smoothing", *map(str, arguments)]) == 1
    assert "held none" in capsys.readouterr().err
