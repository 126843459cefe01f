from __future__ import annotations

import json

import numpy as np
import pytest

from atpn.train.inference import predict
from edge_runtime.backends import load_backend
from edge_runtime.spec import ModelSpec
from export.crop_set import read_crop_set
from export.onnx import count_operators as count_onnx_operators
from export.parity import run_file
from export.tflite import count_operators

FILES = ("atpn_float32.tflite", "atpn_int8.tflite", "atpn_float32.onnx")


@pytest.mark.parametrize("name", FILES)
def test_file_agrees_with_the_network_through_the_runtime(exported, model, noise_crops, name):
    crops = noise_crops(12, seed=31)
    expected, results = predict(model, crops), run_file(load_backend(exported / name), crops)
    for field in ("landmarks", "uncertainty", "pose", "confidence"):
        want, got = getattr(expected, field), getattr(results, field)
        # Against how much the results vary from crop to crop: a file that ignores its input would be at about 0.8.
        spread = want.std(axis=0).mean()
        assert np.abs(got - want).mean() < spread * (0.3 if "int8" in name else 1e-3), field
        assert got.dtype == np.float32


@pytest.mark.parametrize("name", FILES)
def test_spec_travels_inside_the_file(exported, sources, model, name):
    spec = ModelSpec.read(exported / name)
    described = json.loads((sources / "atpn.json").read_text())
    assert spec.weights_sha256 == described["weights_sha256"]
    assert spec.scheme == "wflw98"
    assert spec.input_size == 112
    assert spec.precision == ("int8" if "int8" in name else "float32")
    assert spec.provenance["licence"] == "CC0-1.0"
    assert "torch" in spec.versions
    np.testing.assert_allclose(spec.mean_shape, model.mean_shape.numpy(), atol=1e-6)


@pytest.mark.parametrize("name", FILES[:2])
def test_tflite_files_use_builtin_operators_without_transposes(exported, name):
    operators = count_operators((exported / name).read_bytes())
    assert "CUSTOM" not in operators
    assert operators.get("TRANSPOSE", 0) == 0
    assert operators["CONV_2D"] > 50


def test_int8_file_is_smaller_and_computes_in_int8(exported):
    float32, int8 = (exported / name for name in FILES[:2])
    assert int8.stat().st_size < 0.6 * float32.stat().st_size
    operators = count_operators(int8.read_bytes())
    assert operators["QUANTIZE"] >= 1
    assert "HARD_SWISH" not in operators


def test_onnx_file_changes_layout_once(exported):
    operators = count_onnx_operators((exported / FILES[2]).read_bytes())
    assert operators.get("Transpose", 0) <= 1


def test_onnx_file_takes_any_batch(exported, noise_crops):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported / FILES[2]), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["landmarks", "uncertainty", "pose", "confidence"]
    crops = noise_crops(3, seed=33)
    together = session.run(None, {"image": crops})
    alone = [session.run(None, {"image": crop[None]}) for crop in crops]
    for index, values in enumerate(together):
        np.testing.assert_allclose(values, np.concatenate([row[index] for row in alone]), atol=1e-5)


def test_report_covers_every_file(exported, sources):
    report = json.loads((exported / "report.json").read_text())
    assert sorted(report["files"]) == sorted(FILES)
    assert report["held_out"]["sha256"] == read_crop_set(sources / "heldout.npz").sha256
    for name in FILES:
        entry = report["files"][name]
        assert entry["bytes"] == (exported / name).stat().st_size
        assert entry["milliseconds"]["threads"] == 1
        assert 0 < entry["parity"]["network_nme"] < 0.2
    assert report["files"]["atpn_float32.tflite"]["parity"]["landmarks"] < 1e-4


def test_nothing_else_is_left_in_the_folder(exported):
    assert sorted(path.name for path in exported.iterdir()) == sorted([*FILES, "report.json"])
