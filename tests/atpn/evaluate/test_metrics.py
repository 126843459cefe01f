import math

import numpy as np
import pytest

from atpn.evaluate import metrics
from edge_runtime.geometry import rotation_2d
from edge_runtime.landmarks import IBUG_68, WFLW_98


@pytest.fixture
def faces(draw_sample):
    rng = np.random.default_rng(0)
    return np.stack([draw_sample(rng, angles=rng.normal(0, 0.2, 3)).landmarks for _ in range(12)]).astype(np.float64)


def test_point_errors_and_parts(faces):
    predicted = faces.copy()
    predicted[:, 76:96, 0] += 3.0
    predicted[:, 76:96, 1] += 4.0
    errors = metrics.point_errors(predicted, faces, np.full(len(faces), 50.0))
    parts = metrics.per_part(errors, WFLW_98)
    assert parts == pytest.approx({"jaw": 0, "brow": 0, "nose": 0, "eye": 0, "mouth": 0.1})
    assert errors.mean() == pytest.approx(0.1 * 20 / 98)


def test_failure_rate_and_auc_by_hand():
    errors = np.array([0.02, 0.05, 0.08, 0.2])
    assert metrics.failure_rate(errors) == 0.25
    # Each face below the threshold adds (0.1 - error) / 0.1 of a quarter.
    assert metrics.area_under_ced(errors) == pytest.approx((0.8 + 0.5 + 0.2) / 4, abs=1e-3)
    assert metrics.area_under_ced(np.zeros(3)) == pytest.approx(1.0)
    assert metrics.area_under_ced(np.ones(3)) == 0.0


def test_yaw_bins_go_by_size_and_skip_empty_ones():
    bins = metrics.per_yaw_bin(np.array([1.0, 3.0, 5.0]), np.radians([-5.0, 10.0, -50.0]))
    assert bins == {"0-15": {"mean": 2.0, "count": 2}, "45-60": {"mean": 5.0, "count": 1}}


def test_openings_measure_lids_and_lips(faces):
    mouth = [math.dist(face[90], face[94]) for face in faces]
    eyes = [(math.dist(face[62], face[66]) + math.dist(face[70], face[74])) / 2 for face in faces]
    np.testing.assert_allclose(metrics.openings(faces, WFLW_98, "mouth"), mouth)
    np.testing.assert_allclose(metrics.openings(faces, WFLW_98, "eyes"), eyes)
    assert metrics.openings(faces[:, :68], IBUG_68, "eyes").shape == (12,)


def test_gap_agreement_reads_muted_expressions():
    ground_truth = np.array([0.0, 1.0, 2.0, 3.0])
    assert metrics.gap_agreement(0.4 * ground_truth + 1, ground_truth) == pytest.approx(
        {"slope": 0.4, "correlation": 1.0}
    )
    flat = metrics.gap_agreement(np.ones(4), ground_truth)
    assert flat["slope"] == 0.0
    assert math.isnan(flat["correlation"])


def test_offsets_are_found_in_the_faces_own_frame(faces):
    predicted = faces.copy()
    for shape, face in zip(predicted, faces, strict=True):
        across = face[72] - face[60]
        down = rotation_2d(math.pi / 2) @ across
        shape[:33] += 0.05 * down  # the jaw is marked lower by 5 % of the eye distance, on turned faces too
    offsets = metrics.convention_offsets(predicted, faces, WFLW_98)
    assert offsets["jaw"] == pytest.approx({"x": 0.0, "y": 0.05, "per_point": 0.05}, abs=1e-9)
    assert offsets["mouth"]["per_point"] == pytest.approx(0, abs=1e-9)
    assert metrics.error_without_offsets(predicted, faces, WFLW_98) == pytest.approx(0, abs=1e-9)


def test_pose_errors_wrap():
    errors = metrics.pose_errors(np.radians([[179.0, 10.0, 0.0]]), np.radians([[-179.0, 40.0, 5.0]]))
    np.testing.assert_allclose(errors, [[2, 30, 5]])


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
    [
        pytest.param([0.9, 0.8, 0.1], [1, 1, 0], 1.0, id="perfect"),
        pytest.param([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], 0.5 * 1 + 0.5 * 2 / 3, id="one mistake"),
        pytest.param([0.9, 0.5], [0, 1], 0.5, id="last"),
        pytest.param([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 0.25, id="ties count as one step"),
    ],
)
def test_average_precision(scores, labels, expected):
    assert metrics.average_precision(np.array(scores), np.array(labels)) == pytest.approx(expected)


def test_average_precision_needs_a_positive():
    with pytest.raises(ValueError, match="at least one positive"):
        metrics.average_precision(np.ones(3), np.zeros(3))


def test_precision_recall_is_the_curve_of_all_thresholds():
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.3
    scores = np.round(rng.normal(0, 1, 200) + labels, 1)  # with ties
    curve = metrics.precision_recall(scores, labels, points=11)
    assert curve["recall"] == pytest.approx(np.linspace(0, 1, 11))
    for recall, precision in zip(curve["recall"], curve["precision"], strict=True):
        thresholds = sorted(set(scores), reverse=True)
        reached = next(t for t in thresholds if labels[scores >= t].sum() >= max(1, recall * labels.sum()) - 1e-9)
        assert precision == pytest.approx(labels[scores >= reached].mean(), abs=1e-4)
    with pytest.raises(ValueError, match="at least one positive"):
        metrics.precision_recall(np.ones(3), np.zeros(3))
