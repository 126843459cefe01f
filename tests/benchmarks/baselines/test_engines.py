"""Weights that old ONNX files list as inputs become constants; nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.baselines.engines import OnnxNetwork, with_constant_weights
from edge_runtime.errors import ModelFileError


def test_constant_weights_leave_one_input_and_the_same_results(write_constant):
    onnx = pytest.importorskip("onnx")
    value = np.arange(300, dtype=np.float32)  # lengths of more than one byte
    path = write_constant("old.onnx", 4, value, gain=2.0, old=True)
    before, after = onnx.load(path), onnx.load_from_string(with_constant_weights(path.read_bytes()))
    onnx.checker.check_model(after)
    assert [entry.name for entry in before.graph.input] == ["input", "value"]
    assert [entry.name for entry in after.graph.input] == ["input"]
    assert after.ir_version == 4
    assert after.graph.node == before.graph.node
    assert after.graph.initializer == before.graph.initializer
    assert (after.producer_name, after.opset_import) == (before.producer_name, before.opset_import)
    image = np.full((1, 3, 4, 4), 1.5, np.float32)
    np.testing.assert_allclose(OnnxNetwork(path)(image), value + 3.0)


def test_constant_weights_keep_new_files_unchanged(write_constant):
    content = write_constant("new.onnx", 4, np.ones(5)).read_bytes()
    assert with_constant_weights(content) is content


@pytest.mark.parametrize("content", [b"", b"no model", b"\x3a\xff\x01abc"])
def test_a_file_that_is_not_a_model_is_rejected(content, tmp_path):
    pytest.importorskip("onnx")
    (tmp_path / "odd.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"odd\.onnx is not an ONNX model or is damaged"):
        OnnxNetwork(tmp_path / "odd.onnx")
