"""The accuracy command, its subsets and standard errors, on faces and networks with known errors."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from atpn.data.store import SampleStore
from atpn.evaluate.inference import Predictions
from atpn.model import ATPN, ATPNConfig, save_checkpoint
from atpn.model.checkpoint import weights_sha256
from benchmarks.__main__ import main
from benchmarks.accuracy import command
from benchmarks.accuracy.command import checkpoints_of
from benchmarks.accuracy.faces import DETECTOR_BOX, SETTLED, TRUE_BOX, FacePredictions, FaceSet, predict
from benchmarks.accuracy.metrics import compute_metrics
from benchmarks.results import Results
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import WFLW_98

pytest.importorskip("onnxruntime")


class EverySecond:
    """A detector that finds every second face, exactly."""

    def __init__(self, store):
        self.regions = [ROI.from_landmarks(store.landmarks[i]) for i in store.faces]
        self.calls = 0

    def detect(self, _):
        self.calls += 1
        return [self.regions[self.calls - 1]] if self.calls % 2 else []


class MeanFace:
    """A network that returns its shifted mean face for any crop, and confidence for bright crops."""

    def __init__(self, spec, shift=0.0):
        self.spec, self.shift = spec, shift

    def predict(self, crops):
        landmarks = np.repeat(self.spec.mean_shape[None] + self.shift, len(crops), axis=0)
        nothing = np.zeros((len(crops), 98), np.float32)
        return Predictions(landmarks, nothing, nothing[:, :3], crops.mean(axis=(1, 2, 3)) / 255)


@pytest.fixture
def store(face_shards):
    return SampleStore.read(face_shards)


@pytest.fixture
def faces(store, spec):
    return FaceSet.of_store("drawn", store, 10, EverySecond(store), spec)


def metric(metrics, table, row, column):
    (found,) = [f for f in metrics if (f.table, f.row, f.column) == (f"drawn: {table}", row, column)]
    return found


def known(faces, error):
    """Predictions whose landmarks are all shifted right by (n,) fractions of the eye distance."""
    target = faces.landmarks
    shift = np.zeros_like(target)
    shift[..., 0] = (error * WFLW_98.inter_ocular(target))[:, None]
    missed = np.where(np.arange(len(target))[:, None, None] % 2, np.nan, target + shift)
    landmarks = {TRUE_BOX: target + shift, SETTLED: target, DETECTOR_BOX: missed}
    return FacePredictions(landmarks, faces.pose + np.radians(2.0), faces.tracking[1].astype(float))


def test_errors_are_fractions_of_the_eye_distance_with_standard_error(faces):
    error = np.linspace(0.01, 0.149, 10)
    metrics, curves = compute_metrics(faces, {"net": known(faces, error)}, {})
    counted = np.abs(faces.pose[:, 1]) <= np.radians(60)
    assert counted.all()
    nme = metric(metrics, "landmarks", "net", "NME, true box")
    assert nme.value == pytest.approx(100 * error.mean(), rel=1e-4)
    assert nme.std_error == pytest.approx(100 * error.std(ddof=1) / np.sqrt(10), rel=1e-4)
    assert metric(metrics, "landmarks", "net", "FR10, true box").value == pytest.approx(40)
    left = np.clip(1 - error / 0.1, 0, None).mean()
    assert metric(metrics, "landmarks", "net", "AUC10, true box").value == pytest.approx(left, rel=1e-4)
    assert metric(metrics, "landmarks", "net", "NME, settled").value == pytest.approx(0, abs=1e-4)
    assert metric(metrics, "landmarks", "net", "NME, detector box").value == pytest.approx(
        100 * error[::2].mean(), rel=1e-4
    )
    assert metric(metrics, "landmarks", "net", "NME growth by the detector box").value == pytest.approx(0, abs=1e-4)
    assert metric(metrics, "NME by part", "net", "jaw").value == pytest.approx(100 * error.mean(), rel=1e-4)
    assert metric(metrics, "pose", "net", "pitch").value == pytest.approx(2, rel=1e-4)
    assert metric(metrics, "face or background", "net", "AP").value == 100
    (curve,) = [c for c in curves if c.chart == "drawn: cumulative error, true box"]
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 15, pytest.approx(100))


def test_growth_and_its_standard_error_are_over_the_same_faces(faces):
    error = np.linspace(0.01, 0.15, 10)
    metrics, _ = compute_metrics(
        faces, {"net": known(faces, error), "file": known(faces, 1.1 * error)}, {"file": "net"}
    )
    growth = metric(metrics, "against net", "file", "NME growth")
    assert growth.value == pytest.approx(10, rel=1e-3)
    alone = metric(metrics, "landmarks", "net", "NME, true box")
    assert growth.std_error == pytest.approx(10 * alone.std_error / alone.value, rel=1e-3)
    assert metric(metrics, "against net", "file", "pose growth").value == pytest.approx(0, abs=1e-6)
    assert not [f for f in metrics if f.table.startswith("drawn: against") and f.row == "net"]


def test_occlusion_comes_from_the_labels(faces):
    sample = faces.samples[0]
    half = dataclasses.replace(sample, visibility=np.arange(98) >= 49)
    covered = dataclasses.replace(faces, samples=[half, *faces.samples[1:]])
    made = known(covered, np.full(10, 1e-7))
    made.landmarks[TRUE_BOX][0, :49, 0] += 0.2 * WFLW_98.inter_ocular(half.landmarks[None])[0]
    metrics, _ = compute_metrics(covered, {"net": made}, {})
    table = "NME of some faces and points"
    assert metric(metrics, table, "net", "hidden points").value == pytest.approx(20, rel=1e-4)
    assert metric(metrics, table, "net", "visible points").value == pytest.approx(0, abs=1e-4)
    facing = np.degrees(abs(covered.pose[0, 1])) <= 30
    assert metric(metrics, table, "net", "occluded").value == (pytest.approx(10, rel=1e-4) if facing else None)
    unlabeled = dataclasses.replace(faces, samples=[dataclasses.replace(s, visibility=None) for s in faces.samples])
    metrics, _ = compute_metrics(unlabeled, {"net": known(unlabeled, np.full(10, 1e-7))}, {})
    assert "occluded" not in {f.column for f in metrics}


def test_predict_runs_on_every_box(faces, spec):
    made = predict(MeanFace(spec), faces)
    for roi, points in zip(faces.rois, made.landmarks[TRUE_BOX], strict=True):
        np.testing.assert_allclose(points, roi.to_frame(spec.mean_shape), atol=1e-3)
    assert [roi is not None for roi in faces.detected] == [True, False] * 5
    assert np.isnan(made.landmarks[DETECTOR_BOX]).all(axis=(1, 2)).tolist() == [False, True] * 5
    assert made.confidence.shape == faces.tracking[1].shape == (110,)
    moved = predict(MeanFace(spec, 0.01), faces).landmarks[TRUE_BOX] - made.landmarks[TRUE_BOX]
    np.testing.assert_allclose(np.linalg.norm(moved[0], axis=1), 0.01 * np.sqrt(2) * faces.rois[0].size, rtol=1e-3)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, ATPN(ATPNConfig(width=0.25), torch.rand(98, 2) * 0.6 + 0.2), {"stage": "none"})
    return path


def test_the_command_writes_results_for_renders_and_photographs(
    weights, write_onnx, face_shards, afw_folder, tmp_path, capsys
):
    out = tmp_path / "accuracy.json"
    arguments = ["accuracy", "--models", write_onnx(), "--weights", weights, "--data", face_shards, "--afw", afw_folder]
    assert main([*map(str, arguments), "--limit", "6", "--detector", "cascade", "--out", str(out)]) == 0
    results = Results.read(out)
    assert {f.row for f in results.metrics} == {"net.safetensors", "tiny.onnx"}
    assert {f.table.partition(":")[0] for f in results.metrics} == {"renders", "AFW"}
    assert any("was not made from net.safetensors" in note for note in results.notes)
    assert any(note.startswith("renders: 6 faces") for note in results.notes)
    assert not any(f.table == "AFW: pose" for f in results.metrics), "AFW labels no pose"
    assert "tiny.onnx" in capsys.readouterr().out
    assert json.loads(out.read_text())["settings"]["detector"] == "cascade: CascadeDetector"


def test_accuracy_uses_the_test_split_of_a_dataset(weights, write_onnx, afw_folder, tmp_path, capsys):
    labels = json.loads((afw_folder / "labels.json").read_text())
    for entry, split in zip(labels, ("train", "test", "test"), strict=True):
        entry |= {"split": split, "image": str(afw_folder / entry["image"])}
    labels[2]["faces"][0]["landmarks"][5] = None
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "labels.json").write_text(json.dumps(labels))
    out = tmp_path / "accuracy.json"
    arguments = ["accuracy", "--models", write_onnx(), "--weights", weights, "--dataset", tmp_path / "mine"]
    assert main([*map(str, arguments), "--render", "0", "--detector", "cascade", "--out", str(out)]) == 0
    results = Results.read(out)
    assert {f.table.partition(":")[0] for f in results.metrics} == {"own"}
    assert any(note.startswith("own: 1 faces (1 of 1 test faces)") for note in results.notes)
    assert "tiny.onnx" in capsys.readouterr().out


def test_files_are_compared_with_the_checkpoint_that_they_were_made_from(weights, tmp_path, monkeypatch):
    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, ATPN(ATPNConfig(width=0.25), torch.rand(98, 2)), {})
    monkeypatch.setattr(command, "shipped_networks", lambda: {"atpn": weights, "atpn_small": other})
    first, second = map(weights_sha256, (weights, other))
    assert checkpoints_of(None, {second, "c" * 64}) == {second: other}
    assert checkpoints_of(None, {second, first}) == {first: weights, second: other}
    assert checkpoints_of(None, {"c" * 64}) == {first: weights}
    assert checkpoints_of(other, {first}) == {second: other}


def test_accuracy_rejects_no_data(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["accuracy", "--render", "0"])
    assert "nothing to measure on" in capsys.readouterr().err
