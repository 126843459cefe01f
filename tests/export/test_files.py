from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx import load as load_onnx
from onnx import save as save_onnx

from atpn.evaluate.inference import predict, predictions
from edge_runtime.model_file import SPEC_KEY
from edge_runtime.spec import ModelSpec
from export.__main__ import main
from export.check import format_of
from export.crop_set import read_crop_set
from export.formats import onnx, tflite
from export.formats.base import sha256_of, size_of
from export.testing.mil import MILProgram

TFLITE = ("atpn_fp32.tflite", "atpn_fp16.tflite", "atpn_int8.tflite")
ONNX = ("atpn_fp32.onnx", "atpn_int8.onnx")
COREML = ("atpn_fp16.mlpackage", "atpn_int8.mlpackage")
FILES = (*TFLITE, *ONNX, *COREML)


@pytest.mark.parametrize("name", FILES)
def test_file_agrees_with_the_network_through_the_runtime(exported, model, noise_crops, name):
    crops = noise_crops(12, seed=31)
    predictor = format_of(exported / name).load(exported / name)
    expected, results = predict(model, crops), predictions([predictor(crop) for crop in crops])
    for field in ("landmarks", "uncertainty", "pose", "confidence"):
        want, got = getattr(expected, field), getattr(results, field)
        # Against how much the results vary from crop to crop: a file that ignores its input would be at about 0.8.
        spread = want.std(axis=0).mean()
        close = 0.3 if "int8" in name else 0.1 if "fp16" in name else 1e-3
        assert np.abs(got - want).mean() < spread * close, field
        assert got.dtype == np.float32


@pytest.mark.parametrize("name", FILES)
def test_spec_travels_inside_the_file(exported, sources, model, name):
    spec = ModelSpec.read(exported / name)
    described = json.loads((sources / "atpn.json").read_text())
    assert spec.weights_sha256 == described["weights_sha256"]
    assert spec.scheme == "wflw98"
    assert spec.input_size == 112
    assert len(spec.content_sha256) == 64
    assert spec.precision == name.partition("_")[2].partition(".")[0]
    assert spec.provenance["licence"] == "CC0-1.0"
    assert "torch" in spec.versions
    np.testing.assert_allclose(spec.mean_shape, model.mean_shape.numpy(), atol=1e-6)


@pytest.mark.parametrize("name", TFLITE)
def test_tflite_files_use_builtin_operators_without_transposes(exported, name):
    operators = tflite.FORMAT.count_operators(exported / name)
    assert "CUSTOM" not in operators
    assert operators.get("TRANSPOSE", 0) == 0
    assert operators["CONV_2D"] > 50


def test_int8_file_is_smaller_and_computes_in_int8(exported):
    float32, half, int8 = (exported / name for name in TFLITE)
    assert int8.stat().st_size < half.stat().st_size < 0.7 * float32.stat().st_size
    operators = tflite.FORMAT.count_operators(int8)
    assert operators["QUANTIZE"] >= 1
    assert "HARD_SWISH" not in operators


@pytest.mark.parametrize("name", [*ONNX, *COREML])
def test_files_change_layout_once_at_most(exported, name):
    operators = format_of(exported / name).count_operators(exported / name)
    assert operators.get("Transpose", 0) + operators.get("transpose", 0) <= 1


def test_int8_onnx_computes_in_int8(exported):
    float32, int8 = (onnx.FORMAT.count_operators(exported / name) for name in ONNX)
    assert int8["QuantizeLinear"] > 50
    assert "QuantizeLinear" not in float32
    assert int8["Conv"] == float32["Conv"]


def test_no_product_of_int8_onnx_saturates(exported):
    graph = load_onnx(exported / "atpn_int8.onnx").graph
    tensors = [numpy_helper.to_array(tensor) for tensor in graph.initializer]
    weights = [tensor.astype(int) for tensor in tensors if tensor.dtype == np.int8 and tensor.ndim >= 2]
    assert len(weights) > 50
    # AVX2 multiplies uint8 by int8 and adds two neighboring products in saturating int16.
    assert max(2 * 255 * np.abs(tensor).max() for tensor in weights) <= np.iinfo(np.int16).max


def test_int8_onnx_that_saturates_on_some_processors_is_refused(dist, sources, capsys):
    path = dist / "atpn_int8.onnx"
    model = load_onnx(path)
    weights = next(t for t in model.graph.initializer if t.data_type == TensorProto.INT8 and len(t.dims) == 4)
    values = numpy_helper.to_array(weights).copy()
    values.flat[0] = 127
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    spec = dataclasses.replace(ModelSpec.read(path), content_sha256="")
    helper.set_model_props(model, {SPEC_KEY: spec.to_json()})
    save_onnx(model, path)
    (dist / "report.json").unlink()  # it knows the file by its hash
    options = ["--weights", sources / "atpn.safetensors", "--held-out", sources / "heldout.npz"]
    assert main(["check", str(path), *map(str, options)]) == 1
    assert f"the largest of weights {weights.name} is 127, limit 64" in capsys.readouterr().err


@pytest.mark.parametrize("name", ONNX)
def test_onnx_files_take_any_batch(exported, noise_crops, name):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported / name), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["landmarks", "uncertainty", "pose", "confidence"]
    crops = noise_crops(3, seed=33)
    together = session.run(None, {"image": crops})
    alone = [session.run(None, {"image": crop[None]}) for crop in crops]
    for index, values in enumerate(together):
        np.testing.assert_allclose(values, np.concatenate([row[index] for row in alone]), atol=1e-5)


def test_coreml_packages_take_an_image(exported, model):
    for name in COREML:
        program = MILProgram(exported / name)
        assert program.inputs == ["image"]
        assert program.image_size == model.config.input_size
        assert program.outputs == ["landmarks", "uncertainty", "pose", "confidence"]


def test_eight_bit_weights_make_a_package_smaller(exported):
    half, int8 = (size_of(exported / name) for name in COREML)
    assert int8 < 0.8 * half


def test_report_covers_every_file(exported, sources):
    report = json.loads((exported / "report.json").read_text())
    assert sorted(report["files"]) == sorted(FILES)
    assert report["held_out"]["sha256"] == read_crop_set(sources / "heldout.npz").sha256
    for name in FILES:
        entry = report["files"][name]
        assert entry["bytes"] == size_of(exported / name)
        assert entry["sha256"] == sha256_of(exported / name)
        assert (entry["milliseconds"] is None) == (name in COREML)
        assert 0 < entry["parity"]["network_nme"] < 0.2
    table = (exported / "report.md").read_text()
    assert all(table.count(f"| {name} |") == 1 for name in FILES)
    assert cv2.imread(str(exported / "report.png")).shape[2] == 3
    assert report["files"]["atpn_fp32.tflite"]["parity"]["landmarks"] < 1e-4


def test_nothing_else_is_left_in_the_folder(exported):
    assert sorted(path.name for path in exported.iterdir()) == sorted(
        [*FILES, "report.json", "report.md", "report.png"]
    )
