"""Published evaluations on replicas of the datasets, by networks whose answers are known."""

import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from atpn.__main__ import main
from atpn.data.converting import Conversion
from atpn.data.readers.registry import find_datasets
from atpn.data.readers.w300lp import dataset_angles
from atpn.evaluate.command import ProtocolName
from atpn.evaluate.inference import Predictions
from atpn.evaluate.protocols import photographs, video
from atpn.evaluate.protocols.published import FULL
from atpn.evaluate.protocols.registry import PROTOCOLS, describe, evaluate_protocol
from atpn.model import ATPN, ATPNConfig, save_checkpoint
from edge_runtime.spec import ModelSpec, standard_outputs


@pytest.fixture(scope="module")
def mean_shape():
    shape = np.random.default_rng(0).uniform(1 / 6, 5 / 6, (98, 2)).astype(np.float32)
    shape[:2] = (1 / 6, 1 / 6), (5 / 6, 5 / 6)
    return shape


class SameAnswer:
    """A network that says the same of every crop, and what it was asked."""

    def __init__(self, mean_shape, confidence=1.0, pose=(0.0, 0.0, 0.0), scheme="wflw98", points=None):
        outputs = standard_outputs(len(mean_shape))
        self.spec = ModelSpec(name="same", scheme=scheme, mean_shape=mean_shape, outputs=outputs, input_size=48)
        self.points, self.pose, self.confidence = mean_shape if points is None else points, pose, confidence
        self.asked = []

    def predict(self, crops):
        n = len(crops)
        self.asked.append(n)
        confidence = self.confidence(crops) if callable(self.confidence) else np.full(n, self.confidence)
        return Predictions(np.tile(self.points, (n, 1, 1)), np.zeros((n, 98)), np.tile(self.pose, (n, 1)), confidence)


def test_wflw_has_a_row_for_every_subset(tmp_path, replica, mean_shape):
    drawn = replica.wflw(tmp_path, test=7)["test"]
    report = evaluate_protocol("wflw", SameAnswer(mean_shape), tmp_path)
    first = report["passes"]["first"]
    assert {name: row["faces"] for name, row in first.items()} == {FULL: 7} | dict.fromkeys(
        ("pose", "expression", "illumination", "make-up", "occlusion", "blur"), 1
    )
    # The first pass crops along the axes by the labels: the mean shape lies where the labels' rectangle says.
    face = drawn[1].landmarks
    low, high = face.min(0), face.max(0)
    side = 1.5 * (high - low).max()
    said = (mean_shape - 0.5) * side + (low + high) / 2
    eyes = np.linalg.norm(face[60] - face[72])
    expected = np.linalg.norm(said - face, axis=1).mean() / eyes
    assert first["expression"]["nme"] == pytest.approx(expected, rel=0.02)
    assert first["expression"]["failure_rate_10"] == 1.0
    table = describe("wflw", report)
    assert "ATPN (thesis, table 3.1)" in table
    assert f"{100 * expected:.2f}"[:3] in table
    assert "26.99" in table
    assert "0.557" in table


@pytest.mark.parametrize(("name", "writer", "faces"), [("300w", "ibug300w", 3), ("cofw", "cofw", 2)])
def test_coarser_schemes_are_measured_on_converted_landmarks(tmp_path, replica, mean_shape, name, writer, faces):
    getattr(replica, writer)(tmp_path)
    report = evaluate_protocol(name, SameAnswer(mean_shape), tmp_path)
    assert report["passes"]["upright"][FULL]["faces"] == faces
    if name == "300w":
        assert {subset: row["faces"] for subset, row in report["passes"]["first"].items()} == {
            FULL: 3,
            "challenging": 1,
            "common": 2,
            "helen": 1,
            "lfpw": 1,
        }
        assert "helen" not in describe(name, report)


def test_unknown_landmarks_count_for_nothing(tmp_path, replica, mean_shape):
    replica.merl_rav(tmp_path)
    report = evaluate_protocol("merl-rav", SameAnswer(mean_shape), tmp_path)
    first = report["passes"]["first"]
    assert first[FULL]["faces"] == 10
    assert np.isfinite(first[FULL]["nme_box"])
    assert {name: first[name]["faces"] for name in ("frontal", "half-profile", "profile")} == {
        "frontal": 2,
        "half-profile": 4,
        "profile": 4,
    }
    table = describe("merl-rav", report)
    assert all(figure in table for figure in ("1.22", "0.826", "half-profile", "externally occluded"))
    assert "lefthalf" not in table


@pytest.mark.parametrize("name", ["merl-rav", "cofw68"])
def test_visible_and_covered_landmarks_have_rows_of_their_own(tmp_path, replica, mean_shape, name):
    {"merl-rav": replica.merl_rav, "cofw68": replica.cofw}[name](tmp_path)
    first = evaluate_protocol(name, SameAnswer(mean_shape), tmp_path)["passes"]["first"]
    known, covered = {"merl-rav": (67, 1), "cofw68": (68, 1)}[name]  # of each face
    seen, hidden = first["unoccluded"], first["externally occluded"]
    assert seen["faces"] == hidden["faces"] == first[FULL]["faces"]
    both = (known - covered) * seen["nme_box"] + covered * hidden["nme_box"]
    assert both / known == pytest.approx(first[FULL]["nme_box"])
    assert seen["nme_box"] != pytest.approx(hidden["nme_box"], rel=1e-3)


def test_faces_without_a_covered_landmark_are_in_no_row_of_covered_ones(tmp_path, replica, mean_shape):
    replica.cofw(tmp_path)
    found = find_datasets(tmp_path)[0]
    no_rectangle = photographs.Measure(lambda labels, scheme: np.ones(len(labels)))
    seen = {"change": lambda s: replace(s, visibility=s.visibility | (s.key == "cofw68_0001"))}
    report = photographs.evaluate_landmarks(
        SameAnswer(mean_shape), Conversion(found, "test68"), [no_rectangle], by_occlusion=True, **seen
    )
    assert report["first"]["externally occluded"]["faces"] == 1
    assert report["first"]["unoccluded"]["faces"] == 2


def test_300w_private_counts_failures_from_eight_percent(tmp_path, replica, mean_shape):
    replica.ibug300w(tmp_path)
    report = evaluate_protocol("300w-private", SameAnswer(mean_shape), tmp_path)
    first = report["passes"]["first"]
    assert {subset: row["faces"] for subset, row in first.items()} == {FULL: 2, "indoor": 1, "outdoor": 1}
    assert set(first[FULL]) == {"faces", "nme", "failure_rate_8", "auc_8"}
    assert "0.574" in describe("300w-private", report)
    errors = np.array([0.04, 0.09])
    measured = photographs.Measure(lambda labels, scheme: labels, threshold=0.08).summarize(errors)
    assert measured["failure_rate_8"] == 0.5
    assert measured["auc_8"] == pytest.approx(0.25, abs=2e-3)


def test_masked_300w_is_300w_behind_blocks(tmp_path, replica, mean_shape):
    replica.ibug300w(tmp_path)
    network = SameAnswer(mean_shape)
    seen = []
    network.predict = lambda crops: (seen.append(crops), SameAnswer.predict(network, crops))[1]
    plain = evaluate_protocol("300w", network, tmp_path)
    masked = evaluate_protocol("masked-300w", network, tmp_path)
    # Its labels and first crops are 300W's; its images are not.
    assert masked["passes"]["first"][FULL] == plain["passes"]["first"][FULL]
    before, after = seen[0].astype(int), seen[len(seen) // 2].astype(int)
    assert ((before != after).any(axis=3).mean(axis=(1, 2)) > 0.1).all()


def test_pose_is_held_against_the_datasets_own_angles(tmp_path, replica, mean_shape):
    replica.ibug300w(tmp_path / "300W")
    replica.w300lp(tmp_path / "300W_LP")
    report = evaluate_protocol("pose", SameAnswer(mean_shape), tmp_path / "300W_LP")["passes"]["first"]
    assert report["challenging"]["faces"] == 1
    assert report["common"]["faces"] == 2
    # It says that every head faces the camera: what is wrong is each angle itself.
    found = find_datasets(tmp_path / "300W_LP")[0]
    (ground_truth,) = (
        s.labels.rotation for s in Conversion(found, "test", "original").samples() if "challenging" in s.subsets
    )
    angles = np.degrees(np.abs(dataset_angles(ground_truth)))
    row = report["challenging"]
    np.testing.assert_allclose([row["pitch"], row["yaw"], row["roll"]], angles, atol=0.05)
    assert row["mae"] == pytest.approx(angles.mean(), abs=0.05)
    assert row["failure_rate_10"] == float(angles.mean() > 10)
    share = dict(zip(row["ced"]["error"], row["ced"]["share"], strict=True))
    assert (share[0.0], share[15.0]) == (0.0, float(angles.mean() <= 15))
    assert "ced" not in describe("pose", {"passes": {"first": report}})


def test_faces_are_told_from_what_lies_around_them(tmp_path, replica, mean_shape):
    replica.wider_face(tmp_path)
    assert PROTOCOLS["wider-face"].cutout.min_size == 60
    report = evaluate_protocol("wider-face", SameAnswer(mean_shape, confidence=0.9), tmp_path)["passes"]["ours"][FULL]
    assert (report["positives"], report["negatives"]) == (1, 10)
    assert report["average_precision"] == pytest.approx(1 / 11)
    assert report["precision_recall"]["precision"] == [pytest.approx(1 / 11, abs=1e-4)] * 101
    assert "98.82" in describe("wider-face", {"passes": {"ours": {FULL: report}}})


def test_films_count_detections_and_failures(tmp_path, replica, mean_shape):
    # Six frames of gray 30 n, the third without labels: two sequences in each video.
    replica.w300vw(tmp_path)
    found = find_datasets(tmp_path)[0]

    def doubts_the_fifth(crops):
        gray = crops.reshape(len(crops), -1).mean(axis=1)
        # Of two crops the second is the followed one.
        return np.where((np.abs(gray - 150) < 10) & (np.arange(len(crops)) == 1), 0.2, 0.9)

    network = SameAnswer(mean_shape, confidence=doubts_the_fifth)
    report = video.evaluate_video(network, Conversion(found, "category1", partial=True))
    assert report["frames"] == 5
    assert (report["sequences"], report["detection_frames"], report["tracking_frames"]) == (2, 3, 2)
    assert (report["failures"], report["failure_rate"]) == (1, pytest.approx(0.2))
    assert network.asked == [1, 2, 1, 2, 2]
    assert report["detection_nme_pupils"] > report["detection_nme"] > 0


def test_a_film_s_tracking_mode_crops_by_the_last_frame(tmp_path, replica, mean_shape):
    replica.w300vw(tmp_path)
    found = find_datasets(tmp_path)[0]
    # The faces lie elsewhere in each frame; a network that always says the same follows none of them.
    still = SameAnswer(mean_shape)
    report = video.evaluate_video(still, Conversion(found, "category2", partial=True))
    assert report["tracking_nme"] != report["detection_nme"]


def test_the_command_prints_the_paper_s_row(tmp_path, replica, mean_shape, capsys):
    replica.wflw(tmp_path / "data")
    path = tmp_path / "tiny.safetensors"
    torch.manual_seed(0)
    save_checkpoint(path, ATPN(ATPNConfig(width=0.25, input_size=48), torch.from_numpy(mean_shape)), {})
    command = ["evaluate", "--weights", path, "--protocol", "wflw", "--data", tmp_path / "data"]
    command += ["--detector", "none", "--out", tmp_path / "report.json"]
    assert main(list(map(str, command))) == 0
    assert "ATPN (thesis, table 3.1)" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["wflw"]["passes"]["first"][FULL]["faces"] == 2
    (tmp_path / "data" / "WFLW_images" / "0--Parade" / "0_Parade_test_0.jpg").unlink()
    assert main(list(map(str, command))) == 1
    assert "missing" in capsys.readouterr().err
    assert main([*map(str, command), "--partial"]) == 0
    assert main(["evaluate", "--weights", str(path), "--protocol", "wflw"]) == 1
    assert "needs --data" in capsys.readouterr().err


def test_every_protocol_is_on_offer():
    assert set(get_args(ProtocolName)) == set(PROTOCOLS)
