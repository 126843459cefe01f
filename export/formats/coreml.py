"""Convert networks to CoreML ML Programs with coremltools: from an image to named outputs."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import torch

from edge_runtime.model_file import NO_CHECKSUM, SPEC_KEY, coreml_model, read_model_file
from edge_runtime.spec import ModelSpec
from export.errors import requires
from export.formats.base import PLANE, Format, Job, Predictor
from export.formats.suppress_output import suppress_output
from export.formats.wrapper import wrap
from export.points import evaluation_plane
from export.testing.mil import MILProgram

MIN_QUANTIZED_SIZE = 512
"""Weights of fewer numbers stay float16: their scales would cost what they save."""
_TIMESTAMPS = ("com.github.apple.coremltools.conversion_date",)
"""Metadata that would make two exports of one network differ."""


def write(job: Job, path: Path) -> None:
    """Write a job's .mlpackage: float16 arithmetic, for iOS 16 and macOS 13 on; `int8` stores weights in eight bits.

    ExportError when coremltools is not installed.
    """
    with requires("coreml"), suppress_output():
        import coremltools
        from coremltools.optimize import coreml as optimize
    spec = dataclasses.replace(ModelSpec.check_kind(job.spec), content_sha256=NO_CHECKSUM)
    shape, plane_shape = (1, 3, spec.input_size, spec.input_size), (1, spec.prompts, 2)
    with suppress_output():
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
            each = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=MIN_QUANTIZED_SIZE)
            package = optimize.linear_quantize_weights(package, optimize.OptimizationConfig(global_config=each))
        _describe(package, spec)
        package.save(str(path))
    _fill_checksum(path)


def _fill_checksum(package: Path) -> None:
    """Write the checksum in the place of its zeros; CoreML's library does not keep the order of the metadata."""
    file = read_model_file(package)
    checksum = file.sha256(NO_CHECKSUM)
    coreml_model(package).write_bytes(file.content.replace(NO_CHECKSUM.encode(), checksum.encode()))


def _describe(package: Any, spec: ModelSpec) -> None:
    notes = package.user_defined_metadata
    for key in _TIMESTAMPS:
        if key in notes:
            del notes[key]
    notes[SPEC_KEY] = spec.to_json()
    package.short_description = f"{spec.name}: {len(spec.mean_shape)} facial landmarks ({spec.scheme}) in a face crop"
    package.license = spec.provenance.get("licence", "")
    package.version = spec.versions.get("exporter", "")
    package.input_description[spec.input_name] = "An upright square crop of a face, RGB; the crop rule is in model_spec"
    texts = {
        "landmarks": "Points in [0, 1] of the crop's side: pixel = value * side - 0.5",
        "uncertainty": "Standard deviation of each point, in the same unit",
        "pose": "Pitch, yaw, roll of the head relative to the crop's viewing ray, radians",
        "confidence": "Probability that the crop holds a face",
        "expressions": "Coefficients in [0, 1] in the order of ARKit's documentation, from eyeBlinkLeft to tongueOut",
        "gaze": "Yaw and pitch of the subject's left and right eye, in the pose's frame, radians",
        "points": "Points of the template in model_spec or the query points, in the same unit",
        "points_uncertainty": "Standard deviation of each of them, in the same unit",
    }
    if spec.prompts:
        package.input_description[PLANE] = "Query points, in the plane of the mean face: x then y, 0 to 1"
    for name in spec.outputs:
        package.output_description[name] = texts[name]


def load(path: Path) -> Predictor:
    """Open a package in our interpreter of its program: CoreML itself runs on Apple's systems only."""
    program, prompts = MILProgram(path), ModelSpec.read(path).prompts
    return functools.partial(program.run, plane=evaluation_plane(prompts)) if prompts else program.run


FORMAT = Format(
    name="coreml",
    suffix=".mlpackage",
    precisions=("fp16", "int8"),
    libraries=("torch", "coremltools", "numpy"),
    calibrated=frozenset(),
    write=write,
    count_operators=lambda path: MILProgram(path).count_operators(),
    load=load,
    native=False,
)
