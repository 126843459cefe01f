"""The least time that a file's multiply-adds could take on this core, and how many times that it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.inputs import files
from benchmarks.profile.graph import Graph, runner, take_turns
from benchmarks.results import Figure, Results, median_and_noise
from edge_runtime.spec import ModelSpec
from export.formats.flatbuffer import constant, new_operator, pack, schema

SIZES = (256, 512)
"""Sides of the matrices; the best counts. Smaller ones leave units idle, larger ones fall out of the caches."""
PRECISIONS = ("float32", "int8")
NOTES = (
    "Peak: a product of two square matrices, as a convolution in a .tflite file, same engine, same thread.",
    "The least possible time counts multiply-adds only, each in its own precision, at that peak: nothing for reading, "
    "for activations, for sums, or for layers smaller than the processor's matrix units.",
)


def matrix_product(size: int, precision: str) -> bytes:
    """A .tflite file that multiplies a (size, size) matrix with a constant one, both float32 or int8."""
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
        tensor, quantisation = generated.TensorT(), generated.QuantizationParametersT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), np.array(shape, np.int32), type_, buffer
        if precision == "int8":
            channels = size if name in ("weights", "bias") else 1
            quantisation.scale, quantisation.zeroPoint = np.full(channels, scale, np.float32), np.zeros(channels, int)
            tensor.quantization = quantisation
        graph.tensors.append(tensor)
    options.strideW = options.strideH = 1
    graph.inputs, graph.outputs = [0], [3]
    graph.operators = [new_operator(file, "CONV_2D", options, [0, 1, 2], [3], version=3)]
    return pack(file)


@dataclass(frozen=True)
class RooflineConfig:
    """Options of `roofline`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite files, or one file"})
    out: Path = field(default=Path("dist/bench/roofline.json"), metadata={"help": "where the results are written"})
    runs: int = field(default=200, metadata={"help": "timed runs of each file and of each matrix product"})

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ValueError(f"--runs must be 1 or more, got {self.runs}")


def roofline(config: RooflineConfig) -> None:
    """Time every file beside the matrix products, print a table, write the results."""
    paths = files(config.models, (".tflite",), "run `make export-tflite` first")
    for path in paths:
        ModelSpec.read(path)  # refuses what is not ours
    products = {(size, precision): matrix_product(size, precision) for precision in PRECISIONS for size in SIZES}
    calls = {f"{size} {precision}": runner(tflite) for (size, precision), tflite in products.items()}
    calls |= {path.name: runner(path.read_bytes()) for path in paths}
    samples = take_turns(calls, config.runs, again=True)
    peaks = {}
    for precision in PRECISIONS:
        times = {size: median_and_noise(samples[f"{size} {precision}"]) for size in SIZES}
        size = min(SIZES, key=lambda size: times[size][0] / size**3)
        median, noise = times[size]
        peaks[precision] = size**3 / median / 1e6, noise / median
    figures = [
        Figure("peak of one core", precision, "GMAC/s", peak, "", peak * error, "more")
        for precision, (peak, error) in peaks.items()
    ]
    lines = [f"{'':24} {'GMAC/s':>9}", *(f"{name:24} {peak:9.1f}" for name, (peak, _) in peaks.items()), ""]
    lines.append(f"{'file':24} {'float MMAC':>10} {'int8 MMAC':>10} {'least ms':>9} {'ms':>9} {'times':>7}")
    for path in paths:
        operators = Graph(path.read_bytes()).operators
        macs = {each: sum(o.macs for o in operators if o.precision == each) / 1e6 for each in PRECISIONS}
        parts = {each: macs[each] / peaks[each][0] for each in PRECISIONS}
        least = sum(parts.values())
        error = math.hypot(*(parts[each] * peaks[each][1] for each in PRECISIONS)) / least
        median, noise = median_and_noise(samples[path.name])
        times = median / least
        for column, value, unit, of_value in (
            ("float32, million multiply-adds", macs["float32"], "", 0.0),
            ("int8, million multiply-adds", macs["int8"], "", 0.0),
            ("least possible", least, "ms", least * error),
            ("measured", median, "ms", noise),
            ("times the roofline", times, "", times * math.hypot(error, noise / median)),
        ):
            figures.append(
                Figure("roofline", path.name, column, value, unit, of_value, "" if "adds" in column else "less")
            )
        lines.append(
            f"{path.name:24} {macs['float32']:10.2f} {macs['int8']:10.2f} {least:9.3f} {median:9.3f} {times:7.2f}"
        )
    settings = {"runs": config.runs, "threads": 1, "sizes": SIZES}
    Results("roofline", figures, notes=NOTES, settings=settings).write(config.out)
    print("\n".join([*lines, f"written: {config.out}"]))
