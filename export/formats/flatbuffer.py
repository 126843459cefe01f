"""Read, change, and pack the flatbuffer of a .tflite file."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools.flatbuffer_utils import opcode_to_name

__all__ = ["compact", "constant", "count_operators", "new_operator", "operator_name", "pack", "schema", "unpack"]

ALIGNMENT = 16
"""Of constants, bytes; kernels read them in place. Flatbuffers' Python code ignores the schema's alignment."""


def unpack(tflite: bytes) -> Any:
    """Return the file as a schema.ModelT with all constants in its buffers, to be changed and packed again."""
    file = schema.ModelT.InitFromPackedBuf(tflite, 0)
    for buffer in file.buffers:
        if buffer.offset > 1:  # 0 and 1 mean: the data are in the flatbuffer
            buffer.data = np.frombuffer(tflite, np.uint8, buffer.size, buffer.offset)
        if buffer.data is not None and not len(buffer.data):
            buffer.data = None
        buffer.offset = buffer.size = 0
    return file


def pack(file: Any) -> bytes:
    """Return a schema.ModelT as the bytes of a file."""
    builder = _Builder(sum(0 if buffer.data is None else len(buffer.data) for buffer in file.buffers))
    builder.Finish(file.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """A builder that aligns constants and stores equal vectors of other types once."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802 (flatbuffers' name)
        data = x.tobytes()
        if x.dtype == np.uint8:
            self.StartVector(1, len(data), ALIGNMENT)
            self.head -= len(data)
            self.Bytes[self.head : self.head + len(data)] = data
            return int(self.EndVector())
        key = x.dtype.str, data
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def constant(data: bytes) -> Any:
    """Return a schema.BufferT of a constant, or of a computed tensor without data."""
    return schema.BufferT(np.frombuffer(data, np.uint8) if data else None)


def operator_name(file: Any, operator: Any) -> str:
    """Return the name of a schema.OperatorT of a file, such as CONV_2D; CUSTOM for a custom one."""
    return str(opcode_to_name(file, operator.opcodeIndex))


def count_operators(tflite: bytes) -> dict[str, int]:
    """Return the number of uses of each operator, most frequent first."""
    file = unpack(tflite)
    names = (operator_name(file, operator) for graph in file.subgraphs for operator in graph.operators)
    return dict(Counter(names).most_common())


def new_operator(file: Any, name: str, options: Any, inputs: list[int], outputs: list[int], version: int = 1) -> Any:
    """Return a schema.OperatorT for a graph of a file.

    Args:
        file: A schema.ModelT; the operator's code is added to it.
        name: Such as CONV_2D.
        options: Such as a schema.Conv2DOptionsT.
        inputs: Indices of tensors.
        outputs: Indices of tensors.
        version: The operator's version in the schema.
    """
    code = getattr(schema.BuiltinOperator, name)
    file.operatorCodes.append(schema.OperatorCodeT(min(code, 127), version=version, builtinCode=code))
    return schema.OperatorT(
        opcodeIndex=len(file.operatorCodes) - 1,
        inputs=inputs,
        outputs=outputs,
        builtinOptions=options,
        builtinOptionsType=getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T")),
    )


def compact(tflite: bytes) -> bytes:
    """Shorten tensor names to modules' paths, store equal vectors once, and move constants into the flatbuffer.

    The converter's names, with packages and classes, would make up a tenth of an int8 file and the zero points of its
    channels another. The quantizer puts constants behind the flatbuffer, where older runtimes do not look.
    """
    file = unpack(tflite)
    for graph in file.subgraphs:
        public = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in public:
                # pkg.Wrapper/pkg.Module_a/pkg.Module_0;2 -> a/0:17; a name that is short already stays.
                path = re.split("[;:]", tensor.name.decode(), maxsplit=1)[0].split("/")
                names = [part.rpartition(".")[2].partition("_")[2] if "." in part else part for part in path]
                tensor.name = f"{'/'.join(filter(None, names))}:{index}".encode()
    return pack(file)
