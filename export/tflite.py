"""Networks to TFLite with litert-torch: builtin operators only, channels last throughout."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from atpn.model import Network
from atpn.model.layers import GlobalDepthwise, HardSwish
from atpn.model.refinement import Refinement
from export import flatbuffer, quantise
from export.errors import ExportError
from export.formats import Format, Job, load_native
from export.metadata import append_spec
from export.quiet import quiet
from export.upsampling import spell_out_upsampling
from export.wrapper import wrap


def write(job: Job, path: Path) -> None:
    """Make job's .tflite file, its spec appended."""
    spec = job.spec
    outputs = tuple(spec.outputs)
    if spec.precision == "int8":
        float_file = convert(job.model, outputs, job.spec.prompts, for_int8=True)
        content = quantise.to_int8(float_file, job.calibration_inputs(), job.ranges, quantise.scopes_of(job.model))
    else:
        content = convert(job.model, outputs, job.spec.prompts)
        if spec.precision == "fp16":
            content = quantise.to_float16(content)
    path.write_bytes(append_spec(flatbuffer.compact(spell_out_upsampling(content)), spec))


@functools.lru_cache(maxsize=1)  # fp32 and fp16 begin with the same file
def convert(model: Network, outputs: tuple[str, ...], prompts: int = 0, for_int8: bool = False) -> bytes:
    """A float32 TFLite file of batch 1 in the form that LiteRT is fast with; `for_int8`: all has int8 kernels.

    With `prompts` a second input takes so many points of the plane.

    ExportError when the converter is not installed. Tensor names are the modules' paths (see `flatbuffer.compact`).
    """
    try:
        with quiet():
            import litert_torch
    except ImportError as error:
        raise ExportError(f"the TFLite converter is not installed ({error}): pip install '.[export]'") from error
    size = model.config.input_size
    example: tuple[torch.Tensor, ...] = (torch.zeros(1, size, size, 3, dtype=torch.uint8),)
    example += (torch.zeros(1, prompts, 2),) if prompts else ()
    spelled_out = (GlobalDepthwise, Refinement, HardSwish) if for_int8 else (GlobalDepthwise, Refinement)
    # The converter narrates its passes; the tables we print say what matters.
    with quiet():
        return bytes(litert_torch.convert(wrap(model, outputs, spelled_out), example).model_content())


FORMAT = Format(
    name="tflite",
    suffix=".tflite",
    libraries=("torch", "litert-torch", "ai-edge-quantizer"),
    calibrated=frozenset({"int8"}),
    write=write,
    count_operators=lambda path: flatbuffer.count_operators(path.read_bytes()),
    load=load_native,
)
