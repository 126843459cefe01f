"""Recall of detectors, on photographs whose faces and detections are made up."""

import json

import numpy as np
import pytest

from atpn.data.afw import Photo
from atpn.train.detector_recall import DetectorsConfig, recall_of, run, verified
from edge_runtime.geometry import ROI


def photo(*centres, size=60.0):
    """A grey picture with faces of so many pixels at these places."""
    angle = np.linspace(0, 2 * np.pi, 68)
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) * size / 2
    return Photo(np.full((300, 400, 3), 90, np.uint8), tuple((ring + c).astype(np.float32) for c in centres), "p")


def right(face_photo, index, score):
    return score, ROI.from_landmarks(face_photo.faces[index])


def test_recall_counts_each_face_once_and_alarms_over_all_photographs():
    first, second = photo((100, 100), (300, 200)), photo((200, 150))
    found = [
        [right(first, 0, 0.9), right(first, 0, 0.85), (0.8, ROI(50, 280, 40)), right(first, 1, 0.3)],
        [(0.7, ROI(380, 20, 30)), right(second, 0, 0.6)],
    ]
    result = recall_of("made up", False, [first, second], found, 1.0)
    assert result.faces == 3
    assert result.recall["any"] == 1.0
    few = recall_of("made up", False, [first, second], [found[0] + [(0.5, ROI(20, 20, 9))] * 11, []], 1.0)
    assert few.recall["10"] == pytest.approx(1 / 3), "the face at 0.3 comes after the eleventh false alarm"
    assert few.recall["20"] == pytest.approx(2 / 3)


def test_small_faces_are_neither_missed_nor_false_alarms():
    small = photo((100, 100), size=30.0)
    result = recall_of("made up", False, [small, photo((200, 150))], [[right(small, 0, 0.9)], []], 1.0)
    assert result.faces == 1
    assert result.recall == {"10": 0.0, "20": 0.0, "50": 0.0, "100": 0.0, "any": 0.0}


class Judge:
    """A tracking network that moves to the bright square's middle and trusts what is bright."""

    def __init__(self, spec):
        self.spec = spec

    def run(self, crop):
        rows, columns = np.nonzero(crop[..., 0] > 128)
        confidence = 0.9 if len(rows) else 0.1
        shift = np.array([columns.mean(), rows.mean()]) / 112 - 0.5 if len(rows) else np.zeros(2)
        return {
            "landmarks": (self.spec.mean_shape + shift).astype(np.float32),
            "confidence": np.array([confidence], np.float32),
            "uncertainty": np.full(98, 0.02 if confidence > 0.5 else 0.2, np.float32),
        }


def test_the_judge_moves_regions_scores_them_and_keeps_one_per_face(spec):
    shown = photo((200, 150))
    shown.image[120:180, 170:230] = 255
    found = [(0.9, ROI(220, 160, 110)), (0.8, ROI(190, 140, 110)), (0.7, ROI(60, 240, 60))]
    judged = verified(Judge(spec), shown, found)
    assert [round(score, 1) for score, _ in judged] == [0.9], "where no landmark is certain there is no face"
    assert (judged[0][1].cx, judged[0][1].cy) == pytest.approx((200, 150), abs=4)


def test_the_command_measures_the_cascades(drawn_afw, tmp_path, capsys):
    config = DetectorsConfig(drawn_afw, ("cascade",), model=None, out=tmp_path / "recall.json")
    (result,) = run(config)
    assert result.faces == 3
    assert json.loads((tmp_path / "recall.json").read_text())[0]["detector"] == "cascade"
    assert "cascade" in capsys.readouterr().out


def test_missing_detectors_are_named(drawn_afw, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.onnx"):
        run(DetectorsConfig(drawn_afw, (str(tmp_path / "nowhere.onnx"),), model=None))
