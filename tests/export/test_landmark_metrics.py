from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from atpn.evaluate.inference import Predictions, predictions
from edge_runtime.landmarks import COFW_29, IBUG_68, WFLW_98, convert
from export.crop_set import CropSet
from export.detector import TOLERANCES as DETECTOR_TOLERANCES
from export.detector import DetectorParity
from export.evaluation import exceeded_tolerances
from export.landmark_metrics import TOLERANCES, compare, landmark_errors


def _crop_set(landmarks, pose, scheme):
    count = len(landmarks)
    expressions, gaze = np.full((count, 52), np.nan), np.full((count, 2, 2), np.nan)
    return CropSet(np.zeros((count, 8, 8, 3), np.uint8), landmarks, pose, expressions, gaze, scheme, {}, "")


@pytest.fixture
def ground_truth():
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(0.2, 0.8, (4, 29, 2)).astype(np.float32)
    landmarks[:, 8], landmarks[:, 9] = (0.3, 0.4), (0.7, 0.4)
    pose = rng.normal(0, 0.3, (4, 3)).astype(np.float32)
    landmarks[3], pose[3] = np.nan, np.nan
    return _crop_set(landmarks, pose, COFW_29)


def _predictions(ground_truth, shift, turn, confidence):
    landmarks = np.nan_to_num(ground_truth.landmarks, nan=0.5) + np.array([shift, 0.0])
    pose = np.nan_to_num(ground_truth.pose) + turn
    return Predictions(landmarks, np.full((4, 29), 0.01), pose, np.array(confidence))


def test_errors_and_differences(ground_truth):
    network = _predictions(ground_truth, 0.004, np.radians(2.0), [0.9, 0.9, 0.9, 0.1])
    file = _predictions(ground_truth, 0.005, np.radians(2.5), [0.9, 0.65, 0.9, 0.1])
    parity = compare(file, network, ground_truth, threshold=0.7)
    # A shift by s is an error of s over the inter-ocular distance of 0.4.
    assert parity.network_rendered.nme == pytest.approx(0.01, rel=1e-4)
    assert parity.metrics()["relative_nme_increase"] == pytest.approx(0.25, rel=1e-3)
    assert parity.metrics()["pose_error_increase"] == pytest.approx(0.5, rel=1e-3)
    assert parity.landmarks == pytest.approx(0.001, rel=1e-3)
    assert parity.confidence == pytest.approx(0.25)
    assert parity.decision_flip_rate == 0.25
    assert exceeded_tolerances(parity.metrics(), {}) == []
    found = exceeded_tolerances(parity.metrics(), TOLERANCES["int8"])
    assert [text.partition(" ")[0] for text in found] == [
        "relative_nme_increase",
        "pose_error_increase",
        "decision_flip_rate",
    ]
    assert found[0] == "relative_nme_increase is 0.25, tolerance 0.04"


def test_a_perfect_file_passes_every_tolerance(ground_truth):
    network = _predictions(ground_truth, 0.004, 0.01, [0.9, 0.9, 0.9, 0.1])
    for tolerances in TOLERANCES.values():
        assert exceeded_tolerances(compare(network, network, ground_truth, 0.7).metrics(), tolerances) == []


def test_not_a_number_is_beyond_any_tolerance(ground_truth):
    network = _predictions(ground_truth, 0.004, 0.01, [0.9, 0.9, 0.9, 0.1])
    broken = network._replace(landmarks=np.full_like(network.landmarks, np.nan))
    for tolerances in TOLERANCES.values():
        assert "landmarks is nan, expected a finite number" in exceeded_tolerances(
            compare(broken, network, ground_truth, 0.7).metrics(), tolerances
        )


def test_every_result_must_be_a_number_with_a_tolerance_or_without(ground_truth):
    network = _predictions(ground_truth, 0.004, 0.01, [0.9, 0.9, 0.9, 0.1])
    for name in Predictions._fields:
        values = getattr(network, name).copy()
        values[3] = np.nan  # a crop without a face counts too
        found = exceeded_tolerances(
            compare(network._replace(**{name: values}), network, ground_truth, 0.7).metrics(), {}
        )
        assert {text.partition(" ")[0] for text in found} - {"landmarks_mean"} == {name}


def test_uncertainty_has_a_tolerance_for_its_mean_change_on_faces(ground_truth):
    network = _predictions(ground_truth, 0.004, 0.01, [0.9, 0.9, 0.9, 0.1])
    changed = network.uncertainty * 1.2
    changed[3] = 9.0  # not a face
    parity = compare(network._replace(uncertainty=changed), network, ground_truth, 0.7)
    assert parity.uncertainty_change == pytest.approx(0.2)
    assert exceeded_tolerances(parity.metrics(), TOLERANCES["int8"]) == ["uncertainty_change is 0.2, tolerance 0.1"]


def test_a_network_without_uncertainty_passes(ground_truth):
    network = _predictions(ground_truth, 0.004, 0.01, [0.9, 0.9, 0.9, 0.1])
    network = network._replace(uncertainty=np.zeros_like(network.uncertainty))
    assert exceeded_tolerances(compare(network, network, ground_truth, 0.7).metrics(), TOLERANCES["int8"]) == []


def test_real_faces_have_a_tolerance_of_their_own(ground_truth):
    network = _predictions(ground_truth, 0.004, 0.01, [0.9, 0.9, 0.9, 0.1])
    parity = compare(network, network, ground_truth, 0.7)
    worse = landmark_errors(network.landmarks + np.array([0.001, 0.0]), COFW_29, ground_truth)
    assert worse.nme / parity.network_rendered.nme == pytest.approx(1.25, rel=1e-3)
    found = exceeded_tolerances(
        dataclasses.replace(parity, real=worse, network_real=parity.network_rendered).metrics(), TOLERANCES["int8"]
    )
    assert found == ["real_relative_nme_increase is 0.25, tolerance 0.04"]


def test_errors_are_taken_in_the_labels_scheme():
    rng = np.random.default_rng(1)
    points = rng.uniform(0.2, 0.8, (2, 98, 2)).astype(np.float32)
    points[:, 60], points[:, 72] = (0.3, 0.4), (0.7, 0.4)
    labels = convert(points, WFLW_98, IBUG_68)
    ground_truth = _crop_set(labels, np.full((2, 3), np.nan), IBUG_68)
    assert landmark_errors(points, WFLW_98, ground_truth).nme == 0.0
    errors = landmark_errors(points + np.array([0.0, 0.02]), WFLW_98, ground_truth)
    assert len(errors.by_face) == 2
    assert errors.nme == pytest.approx(0.05, rel=1e-4)
    assert set(errors.by_part) == {"jaw", "brow", "nose", "eye", "mouth"}


def test_a_file_without_heads_is_compared_without_them(ground_truth):
    network = _predictions(ground_truth, 0.004, 0.01, [0.9, 0.9, 0.9, 0.1])
    rows = [{"landmarks": a, "uncertainty": b} for a, b in zip(network.landmarks, network.uncertainty, strict=True)]
    results = predictions(rows)
    assert results.pose.shape == (4, 3)
    assert np.isnan(results.pose).all()
    assert np.isnan(results.confidence).all()
    found = compare(results, network, ground_truth, None).metrics()
    heads = ("pose", "confidence", "pose_error", "pose_error_increase", "decision_flip_rate")
    assert [found[name] for name in heads] == [None] * 5
    for tolerances in TOLERANCES.values():
        assert exceeded_tolerances(found, tolerances) == []
        lost = exceeded_tolerances(compare(results, network, ground_truth, 0.7).metrics(), tolerances)
        assert "pose is nan, expected a finite number" in lost
        assert "confidence is nan, expected a finite number" in lost


@pytest.mark.parametrize("metrics", [{"error": 0.1}, {}])
def test_a_metric_with_a_tolerance_must_have_been_computed(metrics):
    (problem,) = exceeded_tolerances(metrics, {"nme": 0.5})
    assert problem.startswith("nme has tolerance 0.5 but was not computed, expected one of ")
    assert exceeded_tolerances({"nme": None}, {"nme": 0.5}) == []
    assert exceeded_tolerances({"nme": math.nan}, {"nme": 0.5}) == ["nme is nan, expected a finite number"]


@pytest.mark.parametrize("tolerances", [TOLERANCES, DETECTOR_TOLERANCES])
def test_every_tolerance_is_of_a_metric(ground_truth, tolerances):
    network = _predictions(ground_truth, 0.004, 0.01, [0.9, 0.9, 0.9, 0.1])
    landmarks = compare(network, network, ground_truth, 0.7)
    detections = DetectorParity(0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0)
    metrics = (landmarks if tolerances is TOLERANCES else detections).metrics()
    assert {name for each in tolerances.values() for name in each} <= metrics.keys()


def test_a_perfect_file_has_no_error_and_no_increase(ground_truth):
    network = _predictions(ground_truth, 0.004, 0.01, [0.9, 0.9, 0.9, 0.1])
    perfect = network._replace(landmarks=np.nan_to_num(ground_truth.landmarks, nan=0.5))
    found = compare(perfect, network, ground_truth, 0.7).metrics()
    assert (found["nme"], found["relative_nme_increase"]) == (0.0, -1.0)


def test_pose_is_compared_with_the_network_where_no_label_knows_it(ground_truth):
    unlabeled = dataclasses.replace(ground_truth, pose=np.full_like(ground_truth.pose, np.nan))
    file, network = (_predictions(ground_truth, 0.004, turn, [0.9, 0.9, 0.9, 0.1]) for turn in (0.01, 0.0))
    parity = compare(file, network, unlabeled, 0.7)
    assert parity.network_pose_error == 0
    assert parity.metrics()["pose_error_increase"] == pytest.approx(math.degrees(0.01), rel=1e-3)
