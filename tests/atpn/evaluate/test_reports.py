import numpy as np
import pytest

from atpn.data.store import SampleStore
from atpn.evaluate.reports import landmark_report, pose_distribution, pose_report
from edge_runtime.landmarks import IBUG_68, WFLW_98


def test_exact_predictions_have_no_error(face_shards):
    shapes = SampleStore.read(face_shards).landmarks[:24].astype(np.float64)
    report = landmark_report(shapes, shapes, WFLW_98)
    assert report["nme"] == 0
    assert report["auc_10"] == pytest.approx(1)
    assert report["ced"]["share"][0] == 1
    assert report["mouth_opening"]["slope"] == pytest.approx(1)


def test_closed_eyes_and_wide_mouths_are_measured_apart():
    rng = np.random.default_rng(0)
    target = rng.uniform(0, 1, (3, 68, 2))
    target[:, 36], target[:, 45] = (0, 0), (1, 0)  # the eye distance is 1
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        target[:, lower] = target[:, upper] + [0, 0.1]
        target[0, lower] = target[0, upper] + [0, 0.01]
    target[:, 66] = target[:, 62] + [0, 0.05]
    target[1, 66] = target[1, 62] + [0, 0.4]
    predicted = target.copy()
    predicted[0, 37:48] += [0.02, 0]
    predicted[1, 66] -= [0, 0.1]
    report = landmark_report(predicted, target, IBUG_68)
    closed, wide = report["closed_eyes"], report["wide_mouth"]
    assert (closed["faces"], wide["faces"]) == (1, 1)
    assert closed["nme_of_part"] == pytest.approx(0.02 * 11 / 12)  # landmark 36 was left alone
    assert closed["labelled_opening"] == pytest.approx(0.01)
    assert wide["predicted_opening"] == pytest.approx(0.3)
    assert wide["nme_of_part"] == pytest.approx(0.1 / 20)


def test_pose_report_bins_by_yaw():
    target = np.radians([[0.0, 10, 0], [0, 80, 0], [0, 100, 0]])
    report = pose_report(target + np.radians([[3.0, 0, 0], [6, 0, 0], [9, 0, 0]]), target)
    figures = {"mae": 1, "pitch": 3, "yaw": 0, "roll": 0, "count": 1, "failure_rate_10": 0}
    assert {name: report["yaw_60"][name] for name in figures} == pytest.approx(figures)
    assert report["yaw_90"]["pitch"] == pytest.approx(4.5)
    assert report["all"]["count"] == 3


def test_pose_curve_counts_faces_up_to_each_mean_error():
    errors = np.array([[1.0, 2.0, 3.0], [20.0, 1.0, 0.0], [12.0, 12.0, 12.0]])  # means 2, 7, 12
    distribution = pose_distribution(errors)
    assert distribution["failure_rate_10"] == pytest.approx(1 / 3)
    share = dict(zip(distribution["ced"]["error"], distribution["ced"]["share"], strict=True))
    assert [share[at] for at in (1.5, 2.0, 7.0, 11.5, 12.0)] == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3, 1], abs=1e-4)
