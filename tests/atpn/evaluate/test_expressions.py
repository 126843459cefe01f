from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from atpn.data.shards import write_shard
from atpn.data.store import SampleStore
from atpn.evaluate.command import EvaluateConfig, run
from atpn.evaluate.expressions import (
    ExpressionCrops,
    LinearReadout,
    expression_crops,
    expression_report,
    fit_readout,
    labeled_faces,
    summarize,
)
from atpn.evaluate.inference import ExpressionPredictions
from atpn.model import load_checkpoint, save_checkpoint
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.geometry import rotation_2d

JAW = EXPRESSIONS.index("jawOpen")


@pytest.fixture
def labeled(tmp_path, draw_sample):
    rng, samples = np.random.default_rng(0), []
    for i in range(8):
        expressions = np.zeros(52, np.float32)
        expressions[JAW], expressions[EXPRESSIONS.index("eyeBlinkRight")] = rng.random(), float(i == 0)
        gaze = rng.normal(0, 0.2, (2, 2)).astype(np.float32)
        samples.append(replace(draw_sample(rng, f"f{i}"), expressions=expressions, gaze=gaze))
    samples.append(draw_sample(rng, "unlabeled"))
    write_shard(tmp_path / "faces.tar", samples)
    return tmp_path


@pytest.fixture
def weights(tmp_path, tiny_weights):
    torch.manual_seed(0)
    path = tmp_path / "expressive.safetensors"
    save_checkpoint(path, load_checkpoint(tiny_weights)[0].with_config(expressions=("jawOpen",)), {})
    return path


def _truth(count=200, seed=0):
    rng = np.random.default_rng(seed)
    expressions = np.zeros((count, 52), np.float32)
    expressions[:, JAW] = rng.random(count)
    gaze = rng.normal(0, 0.2, (count, 2, 2)).astype(np.float32)
    seen = np.ones((count, 2), bool)
    return ExpressionCrops(np.zeros((count, 4, 4, 3), np.uint8), expressions, gaze, np.zeros(count), seen)


def test_perfect_predictions_have_no_error_and_full_correlation():
    truth = _truth()
    perfect = summarize(ExpressionPredictions(truth.expressions, truth.gaze), truth)
    assert perfect == pytest.approx({"mae": 0.0, "correlation": 1.0, "gaze_degrees": 0.0}, abs=0.05)
    constant = np.tile(truth.expressions.mean(axis=0), (200, 1))
    assert summarize(ExpressionPredictions(constant, truth.gaze), truth)["correlation"] == pytest.approx(0, abs=1e-3)
    assert summarize(ExpressionPredictions(constant, truth.gaze), truth)["mae"] == pytest.approx(0.25, abs=0.03)


def test_hidden_eyes_have_no_gaze_error():
    truth = _truth()
    wrong = truth.gaze.copy()
    wrong[:, 0] += 1.0
    hidden = replace(truth, seen=np.tile([False, True], (200, 1)))
    assert summarize(ExpressionPredictions(truth.expressions, wrong), hidden)["gaze_degrees"] < 0.05


def test_the_linear_readout_finds_a_linear_law_in_any_place_size_and_roll():
    rng = np.random.default_rng(1)
    shape = rng.random((98, 2)).astype(np.float32)
    opening = np.zeros((98, 2))
    opening[85] = (0.0, 0.1)
    truth = _truth(400)
    faces = shape + truth.expressions[:, JAW, None, None] * opening
    turns = [rotation_2d(rng.normal(0, 0.3)) * rng.uniform(0.8, 1.2) for _ in faces]
    moved = np.stack([face @ turn.T for face, turn in zip(faces, turns, strict=True)]) + rng.normal(0, 0.1, (400, 1, 2))
    readout = LinearReadout.fit(
        moved[:300], replace(truth, expressions=truth.expressions[:300], gaze=truth.gaze[:300]), shape
    )
    found = readout.predict(moved[300:]).expressions[:, JAW]
    assert np.corrcoef(found, truth.expressions[300:, JAW])[0, 1] > 0.99
    assert np.abs(found - truth.expressions[300:, JAW]).mean() < 0.05
    median = np.median(truth.expressions[:300, JAW])
    np.testing.assert_allclose(readout.constant(2).expressions[:, JAW], median, atol=1e-6)


def test_only_labeled_faces_count_and_a_closed_eye_is_not_seen(labeled, weights):
    store = SampleStore.read(labeled)
    assert labeled_faces(store).tolist() == list(range(8))
    crops = expression_crops(store, labeled_faces(store), store.landmarks[0] / 160, 48)
    assert crops.images.shape == (8, 48, 48, 3)
    assert crops.seen[0].tolist() == [True, False]
    assert crops.seen[1:].all()


def test_the_report_compares_the_network_with_both_baselines(labeled, weights):
    model, store = load_checkpoint(weights)[0], SampleStore.read(labeled)
    report = expression_report(model, store, 6, fit_readout(model, store))
    assert report["faces"] == 6
    assert report["seen_eyes"] == 11
    for row in ("network", "linear", "constant"):
        assert report[row]["coefficients"].keys() == set(EXPRESSIONS)
        assert "correlation" in report[row]["coefficients"]["jawOpen"]
        assert "correlation" not in report[row]["coefficients"]["tongueOut"]
        assert sum(b["count"] for b in report[row]["gaze_degrees_by_yaw"].values()) == 11
    assert "linear" not in expression_report(model, store, 6)


def test_the_command_reports_expressions_if_network_and_data_have_them(labeled, weights, tiny_weights, capsys):
    report = run(EvaluateConfig(weights, data=labeled, expression_baseline=labeled, detector="none"))
    assert report["expressions"]["faces"] == 8
    printed = capsys.readouterr().out
    assert "expressions: 8 faces" in printed
    assert "mouthShrugUpper" in printed
    assert "expressions" not in run(EvaluateConfig(tiny_weights, data=labeled, detector="none"))
