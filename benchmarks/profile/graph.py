"""The graph of a .tflite file: what its operators are, what they multiply, and parts of it to run alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from time import thread_time
from typing import Any

import numpy as np

from export.formats.flatbuffer import operator_name, pack, schema, unpack

WARM_UP = 3
"""Rounds before those that count."""


@dataclass(frozen=True)
class Operator:
    """One operator."""

    index: int
    kind: str
    """Such as CONV_2D."""
    name: str
    """The path of the module that it comes from, as far as the exporter left one."""
    macs: int
    """Multiply-adds of convolutions, deconvolutions and linear layers; elementwise work is not counted."""
    precision: str
    """`float32` or `int8`: of what it multiplies with."""


class Graph:
    """A file's only subgraph."""

    def __init__(self, tflite: bytes) -> None:
        self._file = unpack(tflite)
        (self._graph,) = self._file.subgraphs
        self._makers = {result: i for i, operator in enumerate(self._graph.operators) for result in operator.outputs}

    @cached_property
    def operators(self) -> list[Operator]:
        """In the order in which they run, those left out that only unfold weights."""
        return [self._operator(i) for i in range(len(self._graph.operators)) if not self._unfolds(i)]

    def part(self, indices: Collection[int]) -> bytes:
        """A file of some operators: what they take from the others are its inputs, what they give, its outputs."""
        chosen = set(indices)
        for i in indices:
            chosen |= {
                made for t in self._inputs(i) if (made := self._makers.get(t)) is not None and self._unfolds(made)
            }
        made = {result for i in chosen for result in self._graph.operators[i].outputs}
        taken = {t for i in chosen for t in self._inputs(i)} - made
        wanted = set(self._graph.outputs)
        wanted |= {t for i in range(len(self._graph.operators)) if i not in chosen for t in self._inputs(i)}
        tensors = sorted(made | taken)
        places = {tensor: place for place, tensor in enumerate(tensors)}
        graph = schema.SubGraphT()
        graph.tensors = [self._graph.tensors[t] for t in tensors]
        graph.inputs = [places[t] for t in tensors if t in taken and not self._is_constant(t)]
        graph.outputs = [places[t] for t in tensors if t in made & wanted]
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

    def _unfolds(self, index: int) -> bool:
        kind = operator_name(self._file, self._graph.operators[index])
        return kind == "DEQUANTIZE" and self._is_constant(self._inputs(index)[0])

    def _operator(self, index: int) -> Operator:
        operator = self._graph.operators[index]
        kind = operator_name(self._file, operator)
        result = self._graph.tensors[operator.outputs[0]]
        macs, precision = 0, "int8" if result.type == schema.TensorType.INT8 else "float32"
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"):
            weights = self._graph.tensors[operator.inputs[1]]
            # Weights are used once per cell: of the result, or for a deconvolution of what it is given.
            cells = {"TRANSPOSE_CONV": self._graph.tensors[operator.inputs[2 % len(operator.inputs)]].shape[1:3]}
            grid = () if kind == "FULLY_CONNECTED" else cells.get(kind, result.shape[1:3])
            macs = int(np.prod(weights.shape)) * int(np.prod(grid))
            precision = "int8" if weights.type == schema.TensorType.INT8 else "float32"
        return Operator(index, kind, result.name.decode().rpartition(":")[0], macs, precision)


def runner(tflite: bytes) -> Callable[[], None]:
    """What runs a file in LiteRT, one thread, on inputs of noise."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=tflite, num_threads=1)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for given in interpreter.get_input_details():
        noise = rng.normal(size=given["shape"])
        steps = noise * 30 + (128 if given["dtype"] == np.uint8 else 0)
        interpreter.set_tensor(
            given["index"], (noise if given["dtype"] == np.float32 else steps.clip(-128, 255)).astype(given["dtype"])
        )
    run: Callable[[], None] = interpreter.invoke
    return run


def take_turns(calls: Mapping[str, Callable[[], None]], runs: int, again: bool) -> dict[str, list[float]]:
    """Milliseconds of the thread's processor time of each call, in turn, so that a slower minute hits all alike.

    With `again` each runs twice in a row and the second counts, as in a program that does nothing else; else each
    finds the caches as the one before leaves them.
    """
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs + WARM_UP):
        for name, call in calls.items():
            if again:
                call()
            began = thread_time()
            call()
            samples[name].append((thread_time() - began) * 1e3)
    return {name: times[WARM_UP:] for name, times in samples.items()}
