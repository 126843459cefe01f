"""Files of the architecture for slow devices."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest

from atpn.evaluate.inference import predict, predict_expressions, predictions
from atpn.model import save_checkpoint
from edge_runtime.spec import ModelSpec
from export.__main__ import main
from export.check import format_of
from export.expressions import file_expressions
from export.formats import tflite
from export.formats.onnx import VECTOR_POSE, float_modules
from export.formats.quantize import VECTOR_POSE_SCOPE, check_scopes, float_scopes, operator_scopes

pytestmark = pytest.mark.slow
OUTPUTS = ("landmarks", "uncertainty", "pose", "confidence", "expressions", "gaze")
FILES = tuple(f"atpn_lite_{each}.tflite" for each in ("fp32", "fp16", "int8"))
FILES += ("atpn_lite_fp32.onnx", "atpn_lite_int8.onnx", "atpn_lite_fp16.mlpackage", "atpn_lite_int8.mlpackage")
FLOAT_FILES = tuple(name for name in FILES if "int8" not in name)
FORMATS = {"tflite": "tflite", "onnx": "onnx", "mlpackage": "coreml"}


@pytest.fixture(scope="session")
def lite_files(make_once, tiny_lite, make_crop_set, command_line):
    """A function that returns a folder with every file of `tiny_lite` in a format; read it, never write it."""

    def files(format_name):
        def make(out):
            folder = out / "sources"
            folder.mkdir()
            save_checkpoint(folder / "atpn.safetensors", tiny_lite, {"data": "noise"})
            make_crop_set(folder / "calibration.npz", tiny_lite, 12, seed=11)
            make_crop_set(folder / "heldout.npz", tiny_lite, 24, seed=12)
            assert main(command_line(format_name, folder, out, "--name", "atpn_lite")) == 0

        return make_once(f"lite_{format_name}", make)

    return files


@pytest.fixture(scope="session")
def for_int8(tiny_lite):
    return tflite.convert(tiny_lite, OUTPUTS, for_int8=True)


@pytest.mark.parametrize("name", FLOAT_FILES)
def test_files_agree_with_the_network(lite_files, tiny_lite, noise_crops, name):
    path, crops = lite_files(FORMATS[name.rpartition(".")[2]]) / name, noise_crops(12, seed=31)
    predictor = format_of(path).load(path)
    results = [predictor(crop) for crop in crops]
    expected = predict(tiny_lite, crops)._asdict() | predict_expressions(tiny_lite, crops)._asdict()
    found = predictions(results)._asdict() | file_expressions(results)._asdict()
    for output in OUTPUTS:
        want, got = expected[output], found[output]
        # Against how much the results vary from crop to crop: a file that ignores its input would be at about 0.8.
        spread = want.std(axis=0).mean()
        close = 0.1 if "fp16" in name else 1e-3
        assert np.abs(got - want).mean() < spread * close, output


@pytest.mark.parametrize("name", FILES)
def test_each_file_passes_the_exports_checks_and_has_the_networks_name(lite_files, name):
    # Int8 has these checks alone: it rounds what an untrained network tells crops apart by.
    assert ModelSpec.read(lite_files(FORMATS[name.rpartition(".")[2]]) / name).name == "atpn_lite"


def test_every_pattern_finds_its_operators(for_int8, tiny_lite):
    check_scopes(for_int8, float_scopes(tiny_lite, OUTPUTS))


def test_no_hard_swish_is_left_but_those_of_expressions_and_the_vector(for_int8):
    scopes = [scope for scope in operator_scopes(for_int8) if "HardSwish" in scope]
    assert scopes
    assert all(
        re.search("expression_branch|ExportModel/[^/]*DecomposedHardSwish_activation", scope) for scope in scopes
    )


def test_vector_and_pose_compute_in_float(for_int8, tiny_lite):
    in_float = "|".join(float_scopes(tiny_lite, OUTPUTS))
    vector = "CoordConv_to_vector/", "GlobalDepthwise_gather", "DecomposedHardSwish_activation"
    for pattern in (*vector, VECTOR_POSE_SCOPE, "Refinement_refinement"):
        scopes = [scope for scope in operator_scopes(for_int8) if re.search(f"ExportModel/[^/]*{pattern}", scope)]
        assert scopes
        assert all(re.search(in_float, scope) for scope in scopes)


def test_pose_of_an_int8_onnx_file_computes_in_float(lite_files, tiny_lite):
    assert VECTOR_POSE in float_modules(tiny_lite)
    graphs = [onnx.load(lite_files("onnx") / f"atpn_lite_{precision}.onnx").graph for precision in ("fp32", "int8")]
    float32, int8 = ({node.output[0]: node for node in graph.node} for graph in graphs)

    def inputs(producers, name, depth):
        """Operators within some steps before a tensor."""
        node = producers.get(name)
        if node is None or depth == 0:
            return []
        return [node.op_type, *(kind for each in node.input for kind in inputs(producers, each, depth - 1))]

    steps = 6  # tanh, and two linear layers
    assert inputs(float32, "pose", steps).count("Gemm") == 2
    assert inputs(int8, "pose", steps) == inputs(float32, "pose", steps)
