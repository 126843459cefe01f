"""Graph of a .tflite file: its operators, their multiply-adds, and parts of it as files."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from export.formats.flatbuffer import operator_name, pack, schema, unpack

WARM_UP = 3
"""Number of rounds that do not count."""


@dataclass(frozen=True)
class Operator:
    """One operator."""

    index: int
    kind: str
    """Such as CONV_2D."""
    name: str
    """Path of its module, if the exporter kept one."""
    macs: int
    """Multiply-adds of convolutions, deconvolutions, and linear layers; elementwise operations are not counted."""
    precision: str
    """Precision of the weights: `float32` or `int8`."""


class Graph:
    """The only subgraph of a file."""

    def __init__(self, tflite: bytes) -> None:
        self._file = unpack(tflite)
        (self._graph,) = self._file.subgraphs
        self._producers = {result: i for i, operator in enumerate(self._graph.operators) for result in operator.outputs}

    @cached_property
    def operators(self) -> list[Operator]:
        """Operators in order of execution, without those that only dequantize weights."""
        return [self._operator(i) for i in range(len(self._graph.operators)) if not self._dequantizes_weights(i)]

    def part(self, indices: Collection[int]) -> bytes:
        """Return a file of some operators, with tensors from and for the others as its inputs and outputs."""
        chosen = set(indices)
        for i in indices:
            producers = (self._producers.get(t) for t in self._inputs(i))
            chosen |= {j for j in producers if j is not None and self._dequantizes_weights(j)}
        produced = {result for i in chosen for result in self._graph.operators[i].outputs}
        consumed = {t for i in chosen for t in self._inputs(i)} - produced
        needed = set(self._graph.outputs)
        needed |= {t for i in range(len(self._graph.operators)) if i not in chosen for t in self._inputs(i)}
        tensors = sorted(produced | consumed)
        places = {tensor: place for place, tensor in enumerate(tensors)}
        graph = schema.SubGraphT()
        graph.tensors = [self._graph.tensors[t] for t in tensors]
        graph.inputs = [places[t] for t in tensors if t in consumed and not self._is_constant(t)]
        graph.outputs = [places[t] for t in tensors if t in produced & needed]
        graph.operators = []
        for i in sorted(chosen):
            operator = copy.copy(self._graph.operators[i])
            operator.inputs = [places.get(t, -1) for t in operator.inputs]
            operator.outputs = [places[t] for t in operator.outputs]
            graph.operators.append(operator)
        return pack(self._with_used_buffers(graph))

    def _with_used_buffers(self, graph: Any) -> Any:
        file = copy.copy(self._file)
        used = sorted({0, *(tensor.buffer for tensor in graph.tensors)})
        graph.tensors = [copy.copy(tensor) for tensor in graph.tensors]
        for tensor in graph.tensors:
            tensor.buffer = used.index(tensor.buffer)
        file.buffers = [self._file.buffers[i] for i in used]
        file.subgraphs, file.signatureDefs, file.metadata, file.metadataBuffer = [graph], None, None, None
        return file

    def _inputs(self, index: int) -> list[int]:
        return [int(t) for t in self._graph.operators[index].inputs if t >= 0]

    def _is_constant(self, tensor: int) -> bool:
        return self._file.buffers[self._graph.tensors[tensor].buffer].data is not None

    def _dequantizes_weights(self, index: int) -> bool:
        kind = operator_name(self._file, self._graph.operators[index])
        return kind == "DEQUANTIZE" and self._is_constant(self._inputs(index)[0])

    def _operator(self, index: int) -> Operator:
        operator = self._graph.operators[index]
        kind = operator_name(self._file, operator)
        result = self._graph.tensors[operator.outputs[0]]
        macs, precision = 0, "int8" if result.type == schema.TensorType.INT8 else "float32"
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"):
            weights = self._graph.tensors[operator.inputs[1]]
            # Weights are used once per cell of the result, or of a deconvolution's input.
            cells = {"TRANSPOSE_CONV": self._graph.tensors[operator.inputs[2 % len(operator.inputs)]].shape[1:3]}
            grid = () if kind == "FULLY_CONNECTED" else cells.get(kind, result.shape[1:3])
            macs = int(np.prod(weights.shape)) * int(np.prod(grid))
            precision = "int8" if weights.type == schema.TensorType.INT8 else "float32"
        return Operator(index, kind, result.name.decode().rpartition(":")[0], macs, precision)


def load_call(tflite: bytes) -> Callable[[], None]:
    """Return a function that runs a file in LiteRT on noise, with one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=tflite, num_threads=1)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for details in interpreter.get_input_details():
        noise, kind = rng.normal(size=details["shape"]), details["dtype"]
        if kind != np.float32:
            noise = (noise * 30 + (128 if kind == np.uint8 else 0)).clip(-128, 255)
        interpreter.set_tensor(details["index"], noise.astype(kind))
    run: Callable[[], None] = interpreter.invoke
    return run
