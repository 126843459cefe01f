"""ONNX files with known outputs in place of the baselines."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def write_constant(tmp_path):
    """Writes an ONNX file that takes (1, 3, size, size) floats and gives a constant plus the first input's value times
    `gain`; `old` files list the constant among their inputs, as before version 4."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    def write(name, size, value, gain=0.0, old=False):
        shape = [1, *np.shape(value)]
        constants = {
            "value": np.asarray(value, np.float32)[None],
            "gain": np.float32(gain),
            "start": np.zeros(4, np.int64),
            "end": np.ones(4, np.int64),
            "flat": np.array([1] * len(shape)),
        }
        nodes = [
            helper.make_node("Slice", ["input", "start", "end"], ["first"]),
            helper.make_node("Reshape", ["first", "flat"], ["scalar"]),
            helper.make_node("Mul", ["scalar", "gain"], ["scaled"]),
            helper.make_node("Add", ["scaled", "value"], ["output"]),
        ]
        inputs = [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, size, size])]
        if old:
            inputs.append(helper.make_tensor_value_info("value", onnx.TensorProto.FLOAT, shape))
        graph = helper.make_graph(
            nodes,
            "constant",
            inputs,
            [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(array, key) for key, array in constants.items()],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=3 if old else 8, producer_name="made up"
        )
        onnx.save(model, tmp_path / name)
        return tmp_path / name

    return write
