"""Convert networks to ONNX with torch's exporter, to int8 with onnxruntime's quantizer."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atpn.model import ATPN, Network
from edge_runtime.model_file import NO_CHECKSUM, SPEC_KEY, content_sha256
from export.config import Ranges
from export.errors import requires
from export.formats.base import PLANE, Format, Job, load_native
from export.formats.suppress_output import suppress_output
from export.formats.wrapper import wrap

OPSET = 18
"""What torch's exporter writes natively; every runtime of the last years reads it."""
MAX_BATCH = 64
FLOAT_MODULES = (
    "backbone.stem",
    "backbone.low",
    "landmark_branch.low_views",
    "landmark_branch.mid_views",
    "landmark_branch.high_views",
    "landmark_branch.to_vector",
    "landmark_branch.gather",
    "landmark_branch.refinement",
    "tracking_branch.gather",
    "pose_branch.gather",
    "points",
    "expression_branch",
)
"""Modules whose convolutions stay float in an int8 file, for the reasons in `quantize.FLOAT_SCOPES`. With multiview
blocks and `to_vector` among them, NME increases by 0.2 instead of 3.1 %; int8 saves no time in this format anyway."""
VECTOR_POSE = "pose_branch"
"""The same for a pose that is read from the vector and the landmarks, which have no common scale."""
_QUANTIZED = ("Conv", "ConvTranspose", "Gemm")
"""Operators that compute in int8; what lies between them is cheap and stays float."""
MAX_INTEGER_WEIGHT = 64
"""Largest magnitude of an int8 weight. Processors without VNNI (AVX2) add two products of uint8 activations and int8
weights in saturating int16: 2 * 255 * 64 fits, 2 * 255 * 127 does not, and the file would be less exact there."""
_SCOPES = "pkg.torch.onnx.name_scopes"


def write(job: Job, path: Path) -> None:
    """Write a job's .onnx file: a dynamic batch, shapes inferred, checked, the spec in its metadata.

    ExportError when a library is not installed.
    """
    with requires("export"):
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter needs it and fails late without)
    spec = job.spec
    inputs = (spec.input_name, PLANE) if job.prompts else (spec.input_name,)
    proto = onnx.load_from_string(_convert(job.model, inputs, job.prompts, tuple(spec.outputs)))
    if spec.precision == "int8":
        named = (dict(zip(inputs, values, strict=True)) for values in job.calibration_inputs())
        proto = _to_int8(proto, named, job.ranges, float_modules(job.model))
    proto = onnx.shape_inference.infer_shapes(proto, strict_mode=True)
    for node in proto.graph.node:  # where in the exporter's sources a node comes from
        del node.metadata_props[:]
    unfilled = dataclasses.replace(spec, content_sha256=NO_CHECKSUM)
    onnx.helper.set_model_props(proto, {SPEC_KEY: unfilled.to_json()})
    onnx.checker.check_model(proto, full_check=True)
    content = proto.SerializeToString(deterministic=True)
    path.write_bytes(content.replace(NO_CHECKSUM.encode(), content_sha256([content]).encode()))


@functools.lru_cache(maxsize=1)  # fp32 and int8 begin with the same file
def _convert(model: Network, input_names: tuple[str, ...], prompts: int, output_names: tuple[str, ...]) -> bytes:
    size = model.config.input_size
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    example: tuple[torch.Tensor, ...] = (torch.zeros(2, size, size, 3, dtype=torch.uint8),)
    shapes: dict[str, Any] = {"image": {0: batch}}
    if prompts:
        example, shapes = (*example, torch.zeros(1, prompts, 2)), shapes | {"plane": {}}
    with suppress_output():
        program = torch.onnx.export(
            wrap(model, output_names),
            example,
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=list(input_names),
            output_names=list(output_names),
            dynamic_shapes=shapes,
        )
    assert program is not None  # only without dynamo does the exporter return nothing
    return bytes(program.model_proto.SerializeToString())


def float_modules(model: Network) -> tuple[str, ...]:
    """Return the modules that a network's int8 file computes in float."""
    from_vector = isinstance(model, ATPN) and model.config.pose_from_vector
    return (*FLOAT_MODULES, VECTOR_POSE) if from_vector else FLOAT_MODULES


def _to_int8(
    proto: Any, inputs: Iterable[dict[str, np.ndarray]], ranges: Ranges, modules_in_float: Sequence[str]
) -> Any:
    """Quantize in QDQ form: uint8 activations in their ranges for these inputs, 7-bit weights per channel."""
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Inputs(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._inputs = iter(inputs)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._inputs, None)

    in_float = [node.name for node in proto.graph.node if any(f"'{m}'" in _scopes(node) for m in modules_in_float)]
    with tempfile.TemporaryDirectory() as folder, suppress_output():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            proto,
            path,
            Inputs(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTIZED),
            nodes_to_exclude=in_float,
            per_channel=True,
            activation_type=QuantType.QUInt8,  # signed activations take x86's slow path
            weight_type=QuantType.QInt8,
            reduce_range=True,  # weights within MAX_INTEGER_WEIGHT
            calibrate_method=CalibrationMethod.MinMax,
            # An int8 landmark step would be half a pixel.
            extra_options={
                "OpTypesToExcludeOutputQuantization": ["Gemm"],
                "CalibMovingAverage": ranges == "moving-average",
            },
        )
        return onnx.load(path)


def _scopes(node: Any) -> str:
    """Return the paths of the modules that a node belongs to, as torch's exporter notes them."""
    return next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "")


def count_operators(path: Path) -> dict[str, int]:
    """Return the number of uses of each operator, most frequent first."""
    import onnx

    return dict(Counter(node.op_type for node in onnx.load(path).graph.node).most_common())


def find_saturation(path: Path) -> list[str]:
    """Describe the weights with which int8 arithmetic saturates on some processors; empty without any."""
    import onnx

    graph = onnx.load(path).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8}
    weights = [node.input[0] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in tensors]
    largest = {name: int(np.abs(onnx.numpy_helper.to_array(tensors[name]).astype(int)).max()) for name in weights}
    return [
        f"the largest of weights {name} is {value}, limit {MAX_INTEGER_WEIGHT}: int8 products saturate without VNNI"
        for name, value in largest.items()
        if value > MAX_INTEGER_WEIGHT
    ]


FORMAT = Format(
    name="onnx",
    suffix=".onnx",
    precisions=("fp32", "int8"),
    libraries=("torch", "onnx", "onnxscript", "onnx-ir", "onnxruntime", "numpy"),
    calibrated=frozenset({"int8"}),
    write=write,
    count_operators=count_operators,
    load=load_native,
    find_problems=find_saturation,
)
