"""Networks to CoreML ML Programs with coremltools: a picture in, named results out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from edge_runtime.spec import SPEC_KEY
from export.errors import ExportError
from export.formats import Format, Job, Predictor
from export.mil import MILProgram
from export.quiet import quiet
from export.wrapper import wrap

SMALLEST_QUANTISED = 512
"""Weights of fewer numbers stay float16: their scales would cost what they save."""
_CHANGING = ("com.github.apple.coremltools.conversion_date",)
"""Notes that would make two exports of one network differ."""


def write(job: Job, path: Path) -> None:
    """Make job's .mlpackage: float16 arithmetic, for iOS 16 and macOS 13 on; `int8` stores weights in eight bits.

    ExportError when coremltools is not installed.
    """
    try:
        with quiet():
            import coremltools
            from coremltools.optimize import coreml as optimise
    except ImportError as error:
        raise ExportError(f"the CoreML converter is not installed ({error}): pip install '.[coreml]'") from error
    spec = job.spec
    shape = (1, 3, spec.input_size, spec.input_size)
    with quiet():
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            wrap(job.model, spec.outputs, planar=True), torch.zeros(shape)
        )
        rgb = coremltools.colorlayout.RGB
        package = coremltools.convert(
            traced,
            inputs=[coremltools.ImageType(name=spec.input_name, shape=shape, color_layout=rgb)],
            outputs=[coremltools.TensorType(name=name) for name in spec.outputs],
            minimum_deployment_target=coremltools.target.iOS16,
            compute_precision=coremltools.precision.FLOAT16,
            skip_model_load=True,
        )
        if spec.precision == "int8":
            each = optimise.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=SMALLEST_QUANTISED)
            package = optimise.linear_quantize_weights(package, optimise.OptimizationConfig(global_config=each))
        _describe(package, job)
        package.save(str(path))


def _describe(package: Any, job: Job) -> None:
    spec = job.spec
    notes = package.user_defined_metadata
    for key in _CHANGING:
        if key in notes:
            del notes[key]
    notes[SPEC_KEY] = spec.to_json()
    package.short_description = f"{spec.name}: {len(spec.mean_shape)} facial landmarks ({spec.scheme}) in a face crop"
    package.license = spec.provenance.get("licence", "")
    package.version = spec.versions.get("exporter", "")
    package.input_description[spec.input_name] = "An upright square crop of a face, RGB; the crop rule is in model_spec"
    texts = {
        "landmarks": "Points as shares of the crop's side: pixel = value * side - 0.5",
        "uncertainty": "Standard deviation of each point, shares of the crop's side",
        "pose": "Pitch, yaw, roll of the head against the crop's viewing ray, radians",
        "confidence": "Probability that the crop holds a face",
    }
    for name in spec.outputs:
        package.output_description[name] = texts[name]


def load(path: Path) -> Predictor:
    """The package in our interpreter of its program: CoreML itself runs on Apple's systems only."""
    return MILProgram(path).run


FORMAT = Format(
    name="coreml",
    suffix=".mlpackage",
    libraries=("torch", "coremltools"),
    calibrated=frozenset(),
    write=write,
    count_operators=lambda path: MILProgram(path).count_operators(),
    load=load,
    native=False,
)
