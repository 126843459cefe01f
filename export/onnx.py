"""ATPN to ONNX with torch's exporter."""

from __future__ import annotations

from collections import Counter

import torch

from atpn.model import ATPN
from edge_runtime.spec import SPEC_KEY, ModelSpec
from export.errors import ExportError
from export.quiet import quiet
from export.wrapper import OUTPUT_NAMES, ExportModel

LIBRARIES = ("torch", "onnx", "onnxscript")
"""Distributions whose versions decide what an ONNX file looks like."""
OPSET = 18
"""What torch's exporter writes natively; every runtime of the last years reads it."""
LARGEST_BATCH = 64


def convert(model: ATPN, spec: ModelSpec) -> bytes:
    """A float32 ONNX file with a dynamic batch, checked, the spec in its metadata.

    ExportError when onnx or onnxscript is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter needs it and fails late without)
    except ImportError as error:
        raise ExportError(f"the ONNX exporter is not installed ({error}): pip install '.[export]'") from error
    size = model.config.input_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    with quiet():
        program = torch.onnx.export(
            ExportModel(model),
            (example,),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=[spec.input_name],
            output_names=list(OUTPUT_NAMES),
            dynamic_shapes={"image": {0: batch}},
        )
    assert program is not None  # only without dynamo does the exporter return nothing
    proto = onnx.shape_inference.infer_shapes(program.model_proto, strict_mode=True)
    onnx.helper.set_model_props(proto, {SPEC_KEY: spec.to_json()})
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString())


def count_operators(content: bytes) -> dict[str, int]:
    """Operator names and how often the file uses them, most frequent first."""
    import onnx

    return dict(Counter(node.op_type for node in onnx.load_from_string(content).graph.node).most_common())
