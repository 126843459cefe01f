"""ATPN to TFLite with litert-torch: builtin operators only, channels last throughout."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import torch

from atpn.model import ATPN
from export.errors import ExportError
from export.quiet import quiet
from export.wrapper import ExportModel

LIBRARIES = ("torch", "litert-torch", "ai-edge-quantizer")
"""Distributions whose versions decide what a TFLite file looks like."""
ALIGNMENT = 16
"""Bytes; kernels read constants in place."""


def convert(model: ATPN, for_int8: bool = False) -> bytes:
    """A float32 TFLite file of batch 1; with `for_int8` in the form whose operators all have int8 kernels.

    ExportError when the converter is not installed. Tensor names are the modules' paths (see `compact`).
    """
    try:
        with quiet():
            import litert_torch
    except ImportError as error:
        raise ExportError(f"the TFLite converter is not installed ({error}): pip install '.[export]'") from error
    size = model.config.input_size
    example = torch.zeros(1, size, size, 3, dtype=torch.uint8)
    # The converter narrates its passes; the tables we print say what matters.
    with quiet():
        return bytes(litert_torch.convert(ExportModel(model, for_int8), (example,)).model_content())


def count_operators(tflite: bytes) -> dict[str, int]:
    """Operator names and how often the file uses them, most frequent first; custom operators as CUSTOM."""
    schema = _schema()
    file = schema.Model.GetRootAs(tflite, 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
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
    file = _schema().Model.GetRootAs(tflite, 0)
    scopes = []
    for index in range(file.SubgraphsLength()):
        graph = file.Subgraphs(index)
        for position in range(graph.OperatorsLength()):
            results = graph.Operators(position).OutputsAsNumpy()
            scopes.append("".join(f"{graph.Tensors(int(result)).Name().decode()};" for result in results))
    return scopes


def compact(tflite: bytes) -> bytes:
    """The same file with short tensor names and its constants inside the flatbuffer.

    The converter's names would make up a tenth of an int8 file, and the quantizer puts constants behind the
    flatbuffer, where older runtimes do not look.
    """
    import flatbuffers  # type: ignore[import-untyped]

    schema = _schema()
    file = schema.ModelT.InitFromPackedBuf(tflite, 0)
    for graph in file.subgraphs:
        public = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in public:
                # pkg.Module_a/pkg.Module_b;2 -> Module_b:17; a name that is short already stays.
                last = re.split("[;:]", tensor.name.decode(), maxsplit=1)[0].rpartition("/")[2].rpartition(".")[2]
                tensor.name = f"{last}:{index}".encode()
    file.buffers = [_Constant(buffer, tflite) for buffer in file.buffers]
    builder = flatbuffers.Builder(len(tflite))
    builder.Finish(file.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Constant:
    """A TFLite buffer that packs its data aligned: flatbuffers' Python code ignores the schema's alignment."""

    def __init__(self, buffer: Any, tflite: bytes) -> None:
        self.data = b"" if buffer.data is None else bytes(buffer.data)
        if buffer.offset > 1:  # 0 and 1 mean: the data are in the flatbuffer
            self.data = tflite[buffer.offset : buffer.offset + buffer.size]

    def Pack(self, builder: Any) -> int:  # noqa: N802 (the name that flatbuffers' generated code calls)
        """Write the buffer; its offset in the builder."""
        schema = _schema()
        if self.data:
            builder.StartVector(1, len(self.data), ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if self.data:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


def _schema() -> Any:
    from ai_edge_litert import schema_py_generated

    return schema_py_generated
