"""Convert networks to TFLite with litert-torch: builtin operators only, channels last throughout."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from atpn.model import Network
from export.errors import requires
from export.formats import flatbuffer, quantize
from export.formats.base import Format, Job, load_native
from export.formats.suppress_output import suppress_output
from export.formats.upsampling import decompose_upsampling
from export.formats.wrapper import wrap
from export.metadata import append_spec


def write(job: Job, path: Path) -> None:
    """Write a job's .tflite file, its spec appended."""
    spec, outputs = job.spec, tuple(job.spec.outputs)
    content = convert(job.model, outputs, job.prompts, for_int8=spec.precision == "int8")
    if spec.precision == "int8":
        in_float = quantize.float_scopes(job.model, outputs)
        content = quantize.to_int8(content, job.calibration_inputs(), job.ranges, in_float)
    elif spec.precision == "fp16":
        content = quantize.to_float16(content)
    path.write_bytes(append_spec(flatbuffer.compact(decompose_upsampling(content)), spec))


@functools.lru_cache(maxsize=1)  # fp32 and fp16 begin with the same file
def convert(model: Network, outputs: tuple[str, ...], prompts: int = 0, for_int8: bool = False) -> bytes:
    """Return a float32 TFLite file of batch 1 in the form that LiteRT is fast with.

    Args:
        model: A landmark network or a detector.
        outputs: Names of the outputs.
        prompts: Number of query points; with any, the file has a second input.
        for_int8: Use only operators that have int8 kernels.

    Raises:
        ExportError: The converter is not installed.
    """
    with requires("export"), suppress_output():
        import litert_torch
    size = model.config.input_size
    example: tuple[torch.Tensor, ...] = (torch.zeros(1, size, size, 3, dtype=torch.uint8),)
    example += (torch.zeros(1, prompts, 2),) if prompts else ()
    with suppress_output():
        module = wrap(model, outputs, channels_last=True, without_hard_swish=for_int8)
        return bytes(litert_torch.convert(module, example).model_content())


FORMAT = Format(
    name="tflite",
    suffix=".tflite",
    precisions=("fp32", "fp16", "int8"),
    libraries=(
        "torch",
        "litert-torch",
        "litert-converter",
        "ai-edge-quantizer",
        "ai-edge-litert",
        "flatbuffers",
        "numpy",
    ),
    calibrated=frozenset({"int8"}),
    write=write,
    count_operators=lambda path: flatbuffer.count_operators(path.read_bytes()),
    load=load_native,
)
