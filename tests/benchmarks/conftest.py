from __future__ import annotations

import numpy as np
import pytest

from benchmarks.roofline import matrix_product
from export.flatbuffer import new_operator, pack, schema, unpack


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
        tensor = schema().TensorT()
        tensor.shape, tensor.type, tensor.name = result.shape, result.type, name
        graph.tensors.append(tensor)
        options, here = first.builtinOptions, len(graph.tensors) - 1
        graph.operators.append(new_operator(file, "CONV_2D", options, [previous, 1, 2], [here], version=3))
        previous = here
    graph.outputs = [previous]
    return pack(file)
