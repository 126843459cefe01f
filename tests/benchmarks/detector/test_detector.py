"""Detectors on synthetic images and detections."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.data.afw import Photo
from atpn.data.store import SampleStore
from benchmarks.__main__ import main
from benchmarks.detector.command import detect
from benchmarks.detector.detectors import ScoredDetector, open_detectors, remove_duplicates, verify
from benchmarks.detector.images import SCENE_SIZE, LabeledImage, photographs, scenes
from benchmarks.detector.metrics import Detections, compute_curve, compute_metrics
from benchmarks.results import Results
from edge_runtime.geometry import ROI

NOWHERE = ROI(380, 20, 30)


def image(*faces, required=None):
    """A gray frame with faces at these ROIs."""
    return LabeledImage(
        np.full((300, 400, 3), 90, np.uint8), faces, [True] * len(faces) if required is None else required
    )


def values(images, found, threshold=0.5):
    made = Detections("made up", found, [1.0] * len(images), threshold)
    return {f.column: f.value for f in compute_metrics("here", images, made, made)}


def test_time_is_relative_to_the_first_detector():
    images = [image()] * 3
    first, other = (Detections(name, [[]] * 3, times, 0.5) for name, times in (("a", [1, 2, 4]), ("b", [3, 6, 8])))
    seen = {f.column: f.value for f in compute_metrics("here", images, other, first)}
    assert (seen["time"], seen["time over a's"]) == (6, 3)


def test_metrics_use_the_detectors_threshold():
    left, right = ROI(100, 100, 80), ROI(300, 200, 40)
    images = [image(left, right), image()]
    found = [[(0.9, left), (0.6, NOWHERE), (0.3, right)], [(0.7, NOWHERE)]]
    seen = values(images, found)
    assert (seen["recall"], seen["precision"], seen["mean IoU"]) == (50, pytest.approx(100 / 3), pytest.approx(1))
    assert (seen["false alarms per image"], seen["false alarms per image without a face"]) == (1, 1)
    assert "5 to 10 %" not in seen, "no face is that small"
    assert (seen["10 to 20 %"], seen["20 to 40 %"]) == (0, 100), "40 and 80 of 400 pixels"
    assert seen["AP"] == pytest.approx(100 * (1 + 2 / 4) / 2), "whatever the threshold"
    assert values(images, found, 0.2)["recall"] == 100


def test_recall_at_false_alarms_follows_the_scores():
    face = ROI(100, 100, 80)
    images = [image(face), *[image()] * 9]
    one_alarm = [[(0.4, face)], [(0.9, NOWHERE)], *[[]] * 8]
    assert values(images, one_alarm)["recall at 0.1 false alarms"] == 100
    two_alarms = [[(0.4, face)], [(0.9, NOWHERE)], [(0.8, NOWHERE)], *[[]] * 7]
    assert values(images, two_alarms)["recall at 0.1 false alarms"] == 0
    curve = compute_curve("here", images, Detections("made up", two_alarms, [1.0] * 10, 0.5))
    assert list(zip(curve.x, curve.y, strict=True)) == [(0.1, 0), (0.2, 0), (0.2, 100)]


def test_loose_recall_counts_inexact_rois():
    face, rough = ROI(100, 100, 80), ROI(130, 100, 80)
    assert 0.3 < face.iou(rough) < 0.5
    seen = values([image(face)], [[(0.9, rough)]])
    assert (seen["recall"], seen["recall, IoU 0.3"], seen["false alarms per image"]) == (0, 100, 1)


def test_metrics_exist_when_nothing_is_detected():
    seen = values([image(ROI(100, 100, 80))], [[]])
    assert (seen["recall"], seen["AP"], seen["precision"], seen["mean IoU"]) == (0, 0, None, None)


def test_small_faces_of_photographs_are_not_required():
    angle = np.linspace(0, 2 * np.pi, 68)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    faces = tuple((ring * size / 2 + (200, 150)).astype(np.float32) for size in (30, 60))
    (shown,) = photographs([Photo(np.zeros((300, 400, 3), np.uint8), faces, "p")])
    assert shown.required == [False, True]
    assert shown.size_fractions == pytest.approx([45 / 400, 90 / 400], rel=1e-2)


def test_scenes_are_deterministic(face_shards):
    store = SampleStore.read(face_shards)
    first, second = scenes(store, 6), scenes(store, 6)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.frame, other.frame)
        assert one.frame.shape == (SCENE_SIZE, SCENE_SIZE, 3)
    largest = [max(each.size_fractions) for each in first if each.faces]
    assert any(0.2 < share < 1.3 for share in largest)


class Verifier:
    """A tracking network that finds the center of the bright square and is confident if there is one."""

    def __init__(self, spec):
        self.spec = spec

    def run(self, crop, query_points=None):
        rows, columns = np.nonzero(crop[..., 0] > 128)
        confidence = 0.9 if len(rows) else 0.1
        shift = np.array([columns.mean(), rows.mean()]) / 112 - 0.5 if len(rows) else np.zeros(2)
        return {
            "landmarks": (self.spec.mean_shape + shift).astype(np.float32),
            "confidence": np.array([confidence], np.float32),
            "uncertainty": np.full(98, 0.02 if confidence > 0.5 else 0.2, np.float32),
        }


def test_verification_refines_scores_and_removes_duplicates(spec):
    image = np.full((300, 400, 3), 90, np.uint8)
    image[120:180, 170:230] = 255
    verdicts = [
        verify(Verifier(spec), image, roi) for roi in (ROI(220, 160, 110), ROI(190, 140, 110), ROI(60, 240, 60))
    ]
    ((score, roi),) = remove_duplicates(verdicts)
    assert score == pytest.approx(0.9), "where no landmark is certain there is no face"
    assert (roi.cx, roi.cy) == pytest.approx((200, 150), abs=4)


def test_detect_runs_every_detector_alone_and_verified(spec):
    images = [image(ROI(100, 100, 80)) for _ in range(3)]
    images[0].frame[80:120, 80:120] = 255
    knows = ScoredDetector("knows", lambda _: [(0.9, ROI(102, 99, 90)), (0.1, NOWHERE)], 0.5)
    blind = ScoredDetector("blind", lambda _: [], 0.5)
    made = {(each.name, each.verified): each for each in detect([knows, blind], Verifier(spec), images)}
    assert [len(found) for found in made["knows", False].found] == [2, 2, 2]
    assert [len(found) for found in made["knows", True].found] == [1, 0, 0]
    assert made["knows", True].threshold == spec.track_threshold
    assert [len(found) for found in made["blind", True].found] == [0, 0, 0]
    assert all(a <= b for a, b in zip(made["knows", False].milliseconds, made["knows", True].milliseconds, strict=True))


def test_open_detectors_notes_missing_files(write_onnx, tmp_path):
    found, notes = open_detectors(write_onnx(), tmp_path)
    assert [finder.name for finder in found] == ["cascade"]
    assert [note.partition(",")[0] for note in notes] == ["Left out: our detector", "Left out: YuNet"]
    (tmp_path / "blazeface.pth").touch()
    assert "BlazeFace" in open_detectors(write_onnx(), tmp_path)[1][-1]


def test_the_command_writes_results(write_onnx, face_shards, afw_folder, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    out = tmp_path / "detector.json"
    arguments = [
        "detector",
        "--models",
        write_onnx(),
        "--baselines",
        tmp_path,
        "--data",
        face_shards,
        "--afw",
        afw_folder,
    ]
    assert main([*map(str, arguments), "--scenes", "4", "--out", str(out)]) == 0
    results = Results.read(out)
    assert {f.row for f in results.metrics} == {"cascade"}
    assert {f.table.partition(":")[0] for f in results.metrics} == {"scenes", "AFW"}
    assert results.settings["verifier"] == "tiny.onnx"
    assert any(note.startswith("AFW: 3 images") for note in results.notes)
    assert "cascade" in capsys.readouterr().out


def test_detector_rejects_no_images(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["detector", "--scenes", "0"])
    assert "no images" in capsys.readouterr().err
