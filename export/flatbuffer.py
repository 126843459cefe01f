"""The inside of a .tflite file: its operators, their names, and how compactly it is packed."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

ALIGNMENT = 16
"""Bytes; kernels read constants in place."""


def count_operators(tflite: bytes) -> dict[str, int]:
    """Operator names and how often the file uses them, most frequent first; custom operators as CUSTOM."""
    generated = schema()
    file = generated.Model.GetRootAs(tflite, 0)
    names = {value: name for name, value in vars(generated.BuiltinOperator).items() if not name.startswith("_")}
    counts: Counter[str] = Counter()
    for index in range(file.SubgraphsLength()):
        graph = file.Subgraphs(index)
        for position in range(graph.OperatorsLength()):
            code = file.OperatorCodes(graph.Operators(position).OpcodeIndex())
            # Codes above 127 live in the newer field; the older one then holds a placeholder.
            counts[names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]] += 1
    return dict(counts.most_common())


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
    """The same file with short tensor names, equal vectors stored once, and its constants inside the flatbuffer.

    The converter's names would make up a tenth of an int8 file and the zero points of its channels another, and the
    quantizer puts constants behind the flatbuffer, where older runtimes do not look.
    """
    file = schema().ModelT.InitFromPackedBuf(tflite, 0)
    for graph in file.subgraphs:
        public = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in public:
                # pkg.Module_a/pkg.Module_b;2 -> Module_b:17; a name that is short already stays.
                last = re.split("[;:]", tensor.name.decode(), maxsplit=1)[0].rpartition("/")[2].rpartition(".")[2]
                tensor.name = f"{last}:{index}".encode()
    file.buffers = [_Constant(buffer, tflite) for buffer in file.buffers]
    builder = _sharing_builder(len(tflite))
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


class _Constant:
    """A TFLite buffer that packs its data aligned: flatbuffers' Python code ignores the schema's alignment."""

    def __init__(self, buffer: Any, tflite: bytes) -> None:
        self.data = b"" if buffer.data is None else bytes(buffer.data)
        if buffer.offset > 1:  # 0 and 1 mean: the data are in the flatbuffer
            self.data = tflite[buffer.offset : buffer.offset + buffer.size]

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
