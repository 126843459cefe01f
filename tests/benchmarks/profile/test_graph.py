from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from benchmarks.profile.graph import Graph, load_call
from benchmarks.profile.roofline import matrix_product
from benchmarks.timing import time_in_turn


def _run(content, values):
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for given, value in zip(interpreter.get_input_details(), values, strict=True):
        interpreter.set_tensor(given["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_matrix_product_is_linear(precision):
    content = matrix_product(16, precision)
    (operator,) = Graph(content).operators
    assert (operator.kind, operator.macs, operator.precision) == ("CONV_2D", 16**3, precision)
    kind = np.dtype(precision)
    given = np.random.default_rng(1).integers(-3, 4, (1, 16, 1, 16)).astype(kind)
    once, twice = (_run(content, [factor * given])[0].astype(float) for factor in (kind.type(1), kind.type(2)))
    assert np.abs(once).max() > 0
    np.testing.assert_allclose(twice, 2 * once, atol=1 if precision == "int8" else 1e-4)


def test_chained_parts_equal_the_whole_graph(chain_of_convolutions):
    graph = Graph(chain_of_convolutions)
    assert [operator.name for operator in graph.operators] == ["backbone/stem/0", "heatmap", "to_vector"]
    given = np.random.default_rng(2).normal(size=(1, 4, 1, 8)).astype(np.float32)
    (whole,) = _run(chain_of_convolutions, [given])
    (middle,) = _run(graph.part([0]), [given])
    (rest,) = _run(graph.part([1, 2]), [middle])
    np.testing.assert_allclose(rest, whole, rtol=1e-5)


def test_time_in_turn_interleaves_calls():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    samples = time_in_turn(calls, runs=2, warm_up=3, twice=True)
    assert order[:4] == ["a", "a", "b", "b"]
    assert [len(values) for values in samples.values()] == [2, 2]
    load_call(matrix_product(8, "int8"))()
