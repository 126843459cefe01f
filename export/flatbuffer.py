"""The inside of a .tflite file: its operators, their names, and how compactly it is packed."""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

ALIGNMENT = 16
"""Bytes; kernels read constants in place."""


def count_operators(tflite: bytes) -> dict[str, int]:
    """Operator names and how often the file uses them, most frequent first; custom operators as CUSTOM."""
    file = schema().Model.GetRootAs(tflite, 0)
    counts: Counter[str] = Counter()
    for index in range(file.SubgraphsLength()):
        graph = file.Subgraphs(index)
        for position in range(graph.OperatorsLength()):
            code = file.OperatorCodes(graph.Operators(position).OpcodeIndex())
            counts[_name_of(code.BuiltinCode(), code.DeprecatedBuiltinCode())] += 1
    return dict(counts.most_common())


def operator_name(file: Any, operator: Any) -> str:
    """What an OperatorT of a ModelT does, such as CONV_2D."""
    code = file.operatorCodes[operator.opcodeIndex]
    return _name_of(code.builtinCode, code.deprecatedBuiltinCode)


def _name_of(code: int, deprecated: int) -> str:
    # Codes above 127 live in the newer field; the older one then holds a placeholder.
    return _operator_names()[max(code, deprecated)]


@functools.cache
def _operator_names() -> dict[int, str]:
    return {value: name for name, value in vars(schema().BuiltinOperator).items() if not name.startswith("_")}


def new_operator(file: Any, name: str, options: Any, inputs: list[int], outputs: list[int], version: int = 1) -> Any:
    """An OperatorT to add to a graph of a ModelT: its name, its options such as a Conv2DOptionsT, tensors' indices."""
    generated = schema()
    code, operator = generated.OperatorCodeT(), generated.OperatorT()
    code.builtinCode = getattr(generated.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    operator.opcodeIndex = len(file.operatorCodes)
    file.operatorCodes.append(code)
    operator.inputs, operator.outputs = inputs, outputs
    operator.builtinOptions = options
    operator.builtinOptionsType = getattr(generated.BuiltinOptions, type(options).__name__.removesuffix("T"))
    return operator


def operator_scopes(tflite: bytes) -> list[str]:
    """Per operator the names of its results, each followed by a semicolon: what the quantizer's patterns search."""
    file = schema().Model.GetRootAs(tflite, 0)
    scopes = []
    for index in range(file.SubgraphsLength()):
        graph = file.Subgraphs(index)
        for position in range(graph.OperatorsLength()):
            results = graph.Operators(position).OutputsAsNumpy()
            scopes.append("".join(f"{graph.Tensors(int(result)).Name().decode()};" for result in results))
    return scopes


def compact(tflite: bytes) -> bytes:
    """The same file with modules' paths as tensor names, equal vectors stored once, constants inside the flatbuffer.

    The converter's names, with packages and classes, would make up a tenth of an int8 file and the zero points of its
    channels another, and the quantizer puts constants behind the flatbuffer, where older runtimes do not look.
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


def unpack(tflite: bytes) -> Any:
    """The file as a schema's ModelT, to be changed and packed again; its buffers are `Constant`s."""
    file = schema().ModelT.InitFromPackedBuf(tflite, 0)
    file.buffers = [Constant.of(buffer, tflite) for buffer in file.buffers]
    return file


def pack(file: Any) -> bytes:
    """A ModelT, all of its buffers `Constant`s, as a file."""
    builder = _sharing_builder(sum(len(buffer.data) for buffer in file.buffers))
    builder.Finish(file.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _sharing_builder(size: int) -> Any:
    """A flatbuffers.Builder that lets tables share equal vectors, which a reader cannot tell from copies."""
    import flatbuffers  # type: ignore[import-untyped]

    class Sharing(flatbuffers.Builder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(size)
            self._written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: Any) -> int:  # noqa: N802 (flatbuffers' name)
            key = x.dtype.str, x.tobytes()
            if key not in self._written:
                self._written[key] = super().CreateNumpyVector(x)
            return self._written[key]

    return Sharing()


@dataclass
class Constant:
    """A TFLite buffer that packs its data aligned: flatbuffers' Python code ignores the schema's alignment."""

    data: bytes
    """Empty for tensors that are computed."""

    @staticmethod
    def of(buffer: Any, tflite: bytes) -> Constant:
        """A file's BufferT."""
        if buffer.offset > 1:  # 0 and 1 mean: the data are in the flatbuffer
            return Constant(tflite[buffer.offset : buffer.offset + buffer.size])
        return Constant(b"" if buffer.data is None else bytes(buffer.data))

    def Pack(self, builder: Any) -> int:  # noqa: N802 (the name that flatbuffers' generated code calls)
        """Write the buffer; its offset in the builder."""
        generated = schema()
        if self.data:
            builder.StartVector(1, len(self.data), ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            vector = builder.EndVector()
        generated.BufferStart(builder)
        if self.data:
            generated.BufferAddData(builder, vector)
        return int(generated.BufferEnd(builder))


def schema() -> Any:
    """TFLite's generated schema; imported on first use."""
    from ai_edge_litert import schema_py_generated

    return schema_py_generated
