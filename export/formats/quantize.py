"""Quantize TFLite files with ai-edge-quantizer."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from atpn.model import ATPN, Network
from atpn.model.detector import FaceDetector
from export.config import Ranges
from export.errors import ExportError, requires
from export.formats.flatbuffer import unpack
from export.formats.suppress_output import suppress_output

FLOAT_SCOPES = (
    # uint8 becomes float before it is quantized with its own scale.
    "Normalize_normalize",
    # The finest grid, of 16 channels: int8 would save no time here.
    "Sequential_stem/",
    r"Sequential_low/atpn\.model\.blocks\.InvertedResidual_0/",
    # Results: an int8 landmark step is half a pixel.
    "^serving_default_output",
    # The branches' last linear layers. tflite-runtime is wrong for int8 weights with a scale per output.
    r"(Model|_branch)/torch\.nn\.modules\.linear\.Linear_",
    # Products of cells and weights: few, and int8 would round them before they are summed.
    "GlobalDepthwise_gather",
    # The vector that landmarks are read from, and the layer before it (the wrapper calls the branch's layers one by
    # one). When a face moves by quarters of a pixel, landmarks jitter by 0.56 instead of 0.79 % of the eye distance,
    # for 4 % more time; in fp32 by 0.39 %.
    r"ExportModel/atpn\.model\.layers\.CoordConv_to_vector",
    # The vector's activation.
    r"ExportModel/export\.formats\.decompose\.DecomposedHardSwish_activation",
)
"""Patterns of the operators (by module path, see `wrapper`) that compute in float inside an int8 file."""
HEAD_SCOPES = (
    # An int8 distance to the nearest landmark would move the heatmap by half a cell.
    "Heatmap_heatmap",
    "Decode_decode",
    # An int8 step would be 0.8 degrees.
    "_pose_branch;",
)
"""The same for head pose and confidence, where the file has them."""
RELU_SCOPE = r"_branch/torch\.nn\.modules\.activation\.ReLU_activation"
"""That of the tracking branch's vector in a network without hard swish: between layers in float, a single operator
costs less in float, too."""
VECTOR_POSE_SCOPE = "VectorPose_pose_branch"
"""The pose that is read from the vector and the landmarks: together they have no common scale."""
REFINEMENT_SCOPE = "Refinement_refinement"
"""The correction of landmarks, where the network has one: an int8 coordinate would be up to half a cell off."""
EXPRESSION_SCOPE = "ExpressionBranch_expression_branch"
"""The expression branch, where there is one: results, and products of cells and weights."""
POINTS_SCOPE = "Points_points"
"""The point head, where there is one: results, too. With int8 weights and activations the difference of points would
grow by a sixth, for a third of the head's size."""
DETECTOR_FLOAT_SCOPES = (
    "Normalize_normalize",
    # An int8 step of the logarithm of a size, or of a logit, would move regions and reorder scores.
    r"Sequential_head/torch\.nn\.modules\.conv\.Conv2d_4",
    "ReadCells_read;",
    "^serving_default_output",
)
"""The same for a detector."""


def float_scopes(model: Network, outputs: Collection[str]) -> tuple[str, ...]:
    """Return the patterns of the operators that a network's int8 file with these outputs computes in float."""
    if isinstance(model, FaceDetector):
        return DETECTOR_FLOAT_SCOPES
    assert isinstance(model, ATPN)
    with_heads = "pose" in outputs
    optional = {
        REFINEMENT_SCOPE: model.landmark_branch.refinement is not None,
        POINTS_SCOPE: model.point_head is not None,
        EXPRESSION_SCOPE: "expressions" in outputs,
        VECTOR_POSE_SCOPE: with_heads and model.config.pose_from_vector,
        RELU_SCOPE: with_heads and not model.config.hard_swish,
    }
    return (
        *FLOAT_SCOPES,
        *(HEAD_SCOPES if with_heads else ()),
        *(scope for scope, there in optional.items() if there),
    )


def to_int8(tflite: bytes, inputs: Iterable[tuple[np.ndarray, ...]], ranges: Ranges, in_float: Sequence[str]) -> bytes:
    """Return a file of mixed precision: int8 arithmetic and weights per channel, float where `in_float` matches.

    Float are the normalization, the finest layers, and the results, so the file does not suit accelerators that take
    integers only. What computes in float stores its weights as float16. Activations' ranges are the minimum and maximum
    over the inputs: the quantizer's default, a moving average, costs a regressor like this one most of its accuracy.

    Raises:
        ExportError: The quantizer is not installed, or a pattern matches no operator.
    """
    check_scopes(tflite, in_float)
    with suppress_output():
        with requires("export"):
            from ai_edge_quantizer import algorithm_manager, calibrator, qtyping, quantizer, recipe_manager
            from ai_edge_quantizer.utils import qsv_utils
        quantization = quantizer.Quantizer(tflite)
        operation, untouched = qtyping.TFLOperationName, algorithm_manager.AlgorithmName.NO_QUANTIZE
        quantization.add_static_config(".*", operation.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
        for boundary in (operation.INPUT, operation.OUTPUT):
            quantization.update_quantization_recipe(".*", boundary, algorithm_key=untouched)
        matching = "|".join(in_float)
        quantization.update_quantization_recipe(matching, operation.ALL_SUPPORTED, algorithm_key=untouched)
        _store_as_float16(quantization, matching)
        recipe = recipe_manager.RecipeManager()
        recipe.load_quantization_recipe(quantization.get_quantization_recipe())
        update = qsv_utils.min_max_update if ranges == "min-max" else qsv_utils.moving_average_update
        calibration = calibrator.Calibrator(tflite, num_threads=1, qsv_update_func=update)
        samples = [{f"args_{i}": value for i, value in enumerate(values)} for values in inputs]
        calibration.calibrate({"serving_default": samples}, recipe)
        result = quantization.quantize(calibration.get_model_qsvs(), enable_progress_report=False)
        return bytes(result.quantized_model)


def check_scopes(tflite: bytes, patterns: Sequence[str]) -> None:
    """Raise ExportError for each pattern without an operator: a renamed module would be quantized unnoticed."""
    names = operator_scopes(tflite)
    unmatched = [p for p in patterns if not any(re.search(p, name) for name in names)]
    if unmatched:
        raise ExportError(
            f"no operator of the converted network matches {', '.join(map(repr, unmatched))}: a module was renamed or "
            "the converter names operators differently; adapt the patterns in export/formats/quantize.py"
        )


def operator_scopes(tflite: bytes) -> list[str]:
    """Return what the quantizer's patterns search, per operator: the names of its results."""
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import get_op_scope

    return [get_op_scope(operator, graph.tensors) for graph in unpack(tflite).subgraphs for operator in graph.operators]


def to_float16(tflite: bytes) -> bytes:
    """Store weights as float16; arithmetic stays float32. ExportError when the quantizer is not installed."""
    with suppress_output():
        with requires("export"):
            from ai_edge_quantizer import quantizer
        quantization = quantizer.Quantizer(tflite)
        _store_as_float16(quantization, ".*")
        return bytes(quantization.quantize(enable_progress_report=False).quantized_model)


def _store_as_float16(quantization: Any, scopes: str) -> None:
    """Let the quantizer store these operators' weights in 16 bits; engines convert them once, when they load."""
    from ai_edge_quantizer import algorithm_manager, qtyping

    weights = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    algorithm = algorithm_manager.AlgorithmName.FLOAT_CASTING
    for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED"):
        quantization.update_quantization_recipe(
            scopes, qtyping.TFLOperationName[name], weights, algorithm_key=algorithm
        )
