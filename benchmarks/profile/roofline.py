"""Minimum time of a file's multiply-adds on this core, and the factor to the measured time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.inputs import check_minimum, model_files, models_option, out_option
from benchmarks.profile.graph import WARM_UP, Graph, load_call
from benchmarks.results import Metric, Results, median_and_error
from benchmarks.tables import publish
from benchmarks.timing import time_in_turn
from edge_runtime.flags import flag
from edge_runtime.output_paths import OutputFile
from edge_runtime.spec import read_spec
from export.formats.flatbuffer import constant, new_operator, pack, schema

SIZES = (256, 512)
"""Sides of the matrices; the fastest counts. Smaller ones leave units idle, larger ones exceed the caches."""
PRECISIONS = ("float32", "int8")
NOTES = (
    "Peak: a product of two square matrices, as a convolution in a .tflite file, same engine, same thread.",
    "The least possible time is that of the multiply-adds at that peak, each in its own precision, without memory "
    "reads, activations, sums, and the idle units of small layers.",
)


def matrix_product(size: int, precision: str) -> bytes:
    """Return a .tflite file that multiplies a (size, size) matrix with a constant one, both float32 or int8."""
    generated, rng = schema, np.random.default_rng(0)
    types = generated.TensorType
    kind, bias_kind = (types.INT8, types.INT32) if precision == "int8" else (types.FLOAT32, types.FLOAT32)
    weights = rng.normal(size=(size, size)) * (40 if precision == "int8" else 1)
    stored = weights.clip(-127, 127).astype(np.int8 if precision == "int8" else np.float32).tobytes()
    file, graph, options = generated.ModelT(), generated.SubGraphT(), generated.Conv2DOptionsT()
    file.version, file.operatorCodes, file.subgraphs = 3, [], [graph]
    file.buffers = [constant(b""), constant(stored), constant(bytes(4 * size))]
    graph.tensors = []
    for name, shape, type_, buffer, scale in (
        ("given", (1, size, 1, size), kind, 0, 0.05),
        ("weights", (size, 1, 1, size), kind, 1, 0.01),
        ("bias", (size,), bias_kind, 2, 0.05 * 0.01),
        ("result", (1, size, 1, size), kind, 0, 1.0),
    ):
        tensor, quantization = generated.TensorT(), generated.QuantizationParametersT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), np.array(shape, np.int32), type_, buffer
        if precision == "int8":
            channels = size if name in ("weights", "bias") else 1
            quantization.scale, quantization.zeroPoint = np.full(channels, scale, np.float32), np.zeros(channels, int)
            tensor.quantization = quantization
        graph.tensors.append(tensor)
    options.strideW = options.strideH = 1
    graph.inputs, graph.outputs = [0], [3]
    graph.operators = [new_operator(file, "CONV_2D", options, [0, 1, 2], [3], version=3)]
    return pack(file)


@dataclass(frozen=True)
class RooflineConfig:
    """Options of `roofline`."""

    models: Path = models_option(".tflite")
    out: OutputFile = out_option("roofline")
    runs: int = flag(200, "timed runs of each file and of each matrix product")

    def __post_init__(self) -> None:
        check_minimum(self, runs=1)


def roofline(config: RooflineConfig) -> None:
    """Time every file and the matrix products, write the results, and print them."""
    paths = model_files(config.models, ".tflite")
    for path in paths:
        read_spec(path)  # rejects files of others
    products = {(size, precision): matrix_product(size, precision) for precision in PRECISIONS for size in SIZES}
    calls = {f"{size} {precision}": load_call(tflite) for (size, precision), tflite in products.items()}
    calls |= {path.name: load_call(path.read_bytes()) for path in paths}
    samples = time_in_turn(calls, config.runs, WARM_UP, twice=True)
    metrics: list[Metric] = []
    peaks, relative_errors = {}, {}
    for precision in PRECISIONS:
        times = {size: median_and_error(samples[f"{size} {precision}"]) for size in SIZES}
        size = min(SIZES, key=lambda size: times[size][0] / size**3)
        median, error = times[size]
        peaks[precision], relative_errors[precision] = size**3 / median / 1e6, error / median
        peak, peak_error = peaks[precision], peaks[precision] * relative_errors[precision]
        metrics.append(Metric("peak of one core", precision, "GMAC/s", peak, "", peak_error, lower_is_better=False))
    for path in paths:
        operators = Graph(path.read_bytes()).operators
        macs = {each: sum(o.macs for o in operators if o.precision == each) / 1e6 for each in PRECISIONS}
        parts = {each: macs[each] / peaks[each] for each in PRECISIONS}
        least = sum(parts.values())
        least_error = math.hypot(*(parts[each] * relative_errors[each] for each in PRECISIONS))
        median, error = median_and_error(samples[path.name])
        factor = median / least
        factor_error = factor * math.hypot(least_error / least, error / median)
        for each in PRECISIONS:
            column = f"{each}, million multiply-adds"
            metrics.append(Metric("roofline", path.name, column, macs[each], "", lower_is_better=None))
        metrics += [
            Metric("roofline", path.name, "least possible", least, "ms", least_error),
            Metric("roofline", path.name, "measured", median, "ms", error),
            Metric("roofline", path.name, "times the roofline", factor, "", factor_error),
        ]
    settings = {"runs": config.runs, "threads": 1, "sizes": SIZES}
    publish(Results("roofline", metrics, notes=NOTES, settings=settings), config.out)
