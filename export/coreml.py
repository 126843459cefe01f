"""Networks to CoreML ML Programs with coremltools: a picture in, named results out."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch

from edge_runtime.spec import SPEC_KEY, ModelSpec
from export.errors import ExportError
from export.formats import PLANE, Format, Job, Predictor
from export.mil import MILProgram
from export.points import checked_plane
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
    shape, plane_shape = (1, 3, spec.input_size, spec.input_size), (1, spec.prompts, 2)
    with quiet():
        examples = (torch.zeros(shape), torch.zeros(plane_shape)) if spec.prompts else (torch.zeros(shape),)
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            wrap(job.model, spec.outputs, planar=True), examples
        )
        inputs = [coremltools.ImageType(name=spec.input_name, shape=shape, color_layout=coremltools.colorlayout.RGB)]
        if spec.prompts:
            inputs.append(coremltools.TensorType(name=PLANE, shape=plane_shape))
        package = coremltools.convert(
            traced,
            inputs=inputs,
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
        "points": "Points of the template in model_spec, or those asked for, as the landmarks",
        "points_uncertainty": "Standard deviation of each of them, shares of the crop's side",
    }
    if spec.prompts:
        package.input_description[PLANE] = "Points to find, on the plane of the mean face: x then y, 0 to 1"
    for name in spec.outputs:
        package.output_description[name] = texts[name]


def load(path: Path) -> Predictor:
    """The package in our interpreter of its program: CoreML itself runs on Apple's systems only."""
    program, prompts = MILProgram(path), ModelSpec.read(path).prompts
    return functools.partial(program.run, plane=checked_plane(prompts)) if prompts else program.run


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
