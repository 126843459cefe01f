from __future__ import annotations

import numpy as np
import pytest

from benchmarks.profile.roofline import matrix_product
from edge_runtime.spec import ModelSpec, standard_outputs
from export.formats.flatbuffer import new_operator, pack, schema, unpack
from export.metadata import append_spec


@pytest.fixture
def chain_of_convolutions():
    """A .tflite file of three convolutions with the same weights, named as the exporter names three blocks'."""
    file = unpack(matrix_product(8, "float32"))
    (graph,) = file.subgraphs
    (first,) = graph.operators
    given, _, _, result = graph.tensors
    given.shape = result.shape = np.array([1, 4, 1, 8], np.int32)
    result.name = b"backbone/stem/0:3"
    previous = 3
    for name in (b"heatmap:4", b"to_vector:5"):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.name = result.shape, result.type, name
        graph.tensors.append(tensor)
        options, here = first.builtinOptions, len(graph.tensors) - 1
        graph.operators.append(new_operator(file, "CONV_2D", options, [previous, 1, 2], [here], version=3))
        previous = here
    graph.outputs = [previous]
    return pack(file)


@pytest.fixture
def named_blocks(chain_of_convolutions, tmp_path):
    """The same as a file with a spec."""
    square = np.array([[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]])
    spec = ModelSpec(name="dots", scheme="dots", mean_shape=square, outputs=standard_outputs(4))
    path = tmp_path / "blocks.tflite"
    path.write_bytes(append_spec(chain_of_convolutions, spec))
    return path
