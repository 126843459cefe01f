from __future__ import annotations

import dataclasses
import json
import shutil

import cv2
import numpy as np
import onnx
import pytest
import torch

from atpn.evaluate.inference import predict
from atpn.model import ATPN, ATPNConfig, save_checkpoint
from edge_runtime import FaceTracker, TrackerOptions
from edge_runtime.backends import load_backend
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert
from edge_runtime.model_file import SPEC_KEY
from edge_runtime.spec import DetectorSpec, ModelSpec, detector_outputs
from export.__main__ import main
from export.config import CheckConfig
from export.errors import ExportError
from export.landmarks import LandmarkEvaluator, real_faces


def _check(sources, *more):
    options = ["--weights", sources / "atpn.safetensors", "--held-out", sources / "heldout.npz"]
    return main(["check", *map(str, more), *map(str, options)])


def test_moved_files_pass(dist, sources, tmp_path, capsys):
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    files = [shutil.move(dist / name, moved / name) for name in ("atpn_int8.tflite", "atpn_fp32.onnx")]
    files.append(shutil.copytree(dist / "atpn_fp16.mlpackage", moved / "phone.mlpackage"))
    assert _check(sources, *files, "--report", tmp_path / "report") == 0
    table = capsys.readouterr().out
    assert all(name in table for name in ("atpn_int8.tflite", "atpn_fp32.onnx", "phone.mlpackage"))
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["report.json", "report.md", "report.png"]


def test_files_of_other_weights_fail(exported, sources, another_model, tmp_path, capsys):
    folder = shutil.copytree(sources, tmp_path / "sources")
    save_checkpoint(folder / "atpn.safetensors", another_model, {})
    assert _check(folder, exported / "atpn_fp32.onnx") == 1
    error = capsys.readouterr().err
    assert "atpn_fp32.onnx: made from other weights" in error
    assert "landmarks" in error
    assert "tolerance 0.0001" in error


def test_a_file_that_changed_since_its_report_fails(dist, sources, capsys):
    path = dist / "atpn_fp32.tflite"
    path.write_bytes(path.read_bytes() + b" ")  # a zip reader still finds the spec
    assert _check(sources, path) == 1
    assert "changed since it was written" in capsys.readouterr().err


def test_every_file_is_looked_at_before_the_verdict(dist, sources, capsys):
    (dist / "atpn_fp32.onnx").write_bytes(b"")
    damaged = dist / "atpn_int8.mlpackage" / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    files = [dist / name for name in ("atpn_fp32.onnx", "atpn_int8.mlpackage", "atpn_fp32.tflite", "notes.txt")]
    assert _check(sources, *files) == 1
    captured = capsys.readouterr()
    assert "atpn_fp32.onnx is empty" in captured.err
    assert "atpn_int8.mlpackage is damaged: the checksum" in captured.err
    assert "notes.txt is not a model file" in captured.err
    assert "atpn_fp32.tflite" in captured.out


def test_nothing_to_check_is_said(sources, capsys):
    assert _check(sources) == 1
    assert "no files to check" in capsys.readouterr().err


def test_list_tells_what_is_there(dist, sources, capsys):
    (dist / "broken.onnx").write_bytes(b"\x0a\x05abc")
    assert main(["list", "--out", str(dist), "--weights", str(sources / "atpn.safetensors")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 7 + 1
    assert any(line.startswith("atpn_int8.mlpackage") and " these " in line for line in lines)
    assert any(line.startswith("broken.onnx") and "unreadable" in line for line in lines)


def test_list_of_an_empty_folder(tmp_path, capsys):
    assert main(["list", "--out", str(tmp_path)]) == 1
    assert "no model file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_without_heads(sources, command_line, tmp_path, model, noise_crops, capsys):
    assert (
        main(command_line("onnx", sources, tmp_path, "--heads", "none", "--precision", "fp32", "--name", "bare")) == 0
    )
    path = tmp_path / "bare_fp32.onnx"
    backend = load_backend(path)
    crop = noise_crops(1, seed=3)
    results = backend.run(crop[0])
    assert list(results) == ["landmarks", "uncertainty"]
    np.testing.assert_allclose(results["landmarks"], predict(model, crop).landmarks[0], atol=1e-5)
    assert _check(sources, path) == 0
    with pytest.raises(ValueError, match="landmarks only; tracking needs head pose"):
        FaceTracker(TrackerOptions(model=path))


def test_real_faces_are_cut_by_the_labels_own_regions(tmp_path, ring):
    face = convert(ring, WFLW_98, IBUG_68) * 100 + (40, 30)
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((200, 240, 3), np.uint8))
    entry = {"image": "one.png", "width": 240, "height": 200, "faces": [{"landmarks": face.tolist()}]}
    (tmp_path / "labels.json").write_text(json.dumps([entry]))
    real = real_faces(tmp_path, 112)
    assert real.crops.shape == (1, 112, 112, 3)
    assert real.scheme is IBUG_68
    extent = np.ptp(real.landmarks[0], axis=0)
    assert extent.max() == pytest.approx(1 / 1.5, abs=1e-3)  # a quarter more on every side


def test_a_precision_without_tolerances_is_refused(dist, sources, capsys):
    path = dist / "atpn_fp32.onnx"
    model = onnx.load(path)
    spec = dataclasses.replace(ModelSpec.read(path), precision="int4", content_sha256="")
    onnx.helper.set_model_props(model, {SPEC_KEY: spec.to_json()})
    onnx.save(model, path)
    assert _check(sources, path) == 1
    assert "atpn_fp32.onnx has precision 'int4', expected one of fp32, fp16, int8" in capsys.readouterr().err


def test_a_renamed_metric_does_not_pass(exported, sources, monkeypatch, capsys):
    monkeypatch.setattr("export.landmarks.LandmarkEvaluator.tolerances", {"fp32": {"landmark_difference": 1e-4}})
    assert _check(sources, exported / "atpn_fp32.onnx") == 1
    assert "landmark_difference has tolerance 0.0001 but was not computed" in capsys.readouterr().err


def test_a_detector_is_not_checked_as_a_landmark_model(sources, tmp_path):
    spec = DetectorSpec(name="finder", outputs=detector_outputs(4))
    evaluator = LandmarkEvaluator.load(CheckConfig(held_out=sources / "heldout.npz"), sources / "atpn.safetensors")
    with pytest.raises(ExportError, match="gives detections, the weights landmarks"):
        evaluator.check_spec(spec, tmp_path / "finder.tflite")


def test_a_network_of_an_ablation_is_not_exported(sources, tmp_path):
    path = tmp_path / "ablated.safetensors"
    save_checkpoint(path, ATPN(ATPNConfig(width=0.25, heatmap_attention=False), torch.rand(98, 2)), {})
    with pytest.raises(ExportError, match="an ablation's network, without heatmap_attention"):
        LandmarkEvaluator.load(CheckConfig(held_out=sources / "heldout.npz"), path)
