"""`python -m benchmarks outputs|agree|arm64`: whether other machines and engines compute the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.cross_platform import arm64
from benchmarks.cross_platform.agreement import ROUNDING, Bound, agreement_table, compare, problems
from benchmarks.cross_platform.arm64_root import BOARDS
from benchmarks.cross_platform.device_outputs import DeviceOutputs, device_outputs
from benchmarks.inputs import files

MAKE_TFLITE = "run `make export-tflite` first"
OTHER_ENGINE_INT8 = Bound(mean=1e-2)
"""An older engine rounds the picture itself otherwise, by a step for half of the pixels."""


@dataclass(frozen=True)
class OutputsConfig:
    """Options of `outputs`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite files, or one file"})
    out: Path = field(default=Path("dist/outputs.npz"), metadata={"help": "where the arrays are written"})
    pictures: int = field(default=40, metadata={"help": "held-out pictures that each file sees"})
    past: Path | None = field(default=None, metadata={"help": "another machine's file: take its steps of the tracker"})

    def __post_init__(self) -> None:
        if self.pictures < 1:
            raise ValueError(f"--pictures must be 1 or more, got {self.pictures}")


@dataclass(frozen=True)
class AgreeConfig:
    """Options of `agree`."""

    ours: Path = field(default=Path("dist/outputs.npz"), metadata={"help": "what `outputs` wrote"})
    theirs: Path = field(default=Path("theirs.npz"), metadata={"help": "what it wrote elsewhere, with --past OURS"})
    may_refuse: str = field(default="", metadata={"help": "file that they are right to refuse"})


@dataclass(frozen=True)
class Arm64Config:
    """Options of `arm64`."""

    board: Literal["both", "pi4", "pi5"] = field(default="both", metadata={"help": "Raspberry Pi to emulate"})
    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite files"})
    cache: Path = field(default=Path(".arm64"), metadata={"help": "folder for what is fetched, and reused"})
    pictures: int = field(default=40, metadata={"help": "held-out pictures that each file sees"})
    skip_tests: bool = field(default=False, metadata={"help": "compare outputs only"})


def outputs(config: OutputsConfig) -> None:
    """Write what this machine computes."""
    past = None if config.past is None else DeviceOutputs.read(config.past)
    result = device_outputs(files(config.models, (".tflite",), MAKE_TFLITE), config.pictures, past)
    result.write(config.out)
    for reason in result.refused.values():
        print(f"refused: {reason}")


def agree(config: AgreeConfig) -> None:
    """Compare two machines' files; ValueError says what is out of bounds."""
    ours, theirs = DeviceOutputs.read(config.ours), DeviceOutputs.read(config.theirs)
    rows = compare(ours, theirs, {"fp32": ROUNDING, "fp16": ROUNDING, "int8": OTHER_ENGINE_INT8})
    print(agreement_table(rows))
    _raise_for(problems(rows, theirs.refused, [config.may_refuse]))


def check_arm64(config: Arm64Config) -> None:
    """Check emulated boards; ValueError says what is out of bounds."""
    models = files(config.models, (".tflite",), MAKE_TFLITE)
    boards = list(BOARDS) if config.board == "both" else [config.board]
    _raise_for(arm64.check(config.cache, boards, models, config.pictures, not config.skip_tests))


def _raise_for(found: list[str]) -> None:
    if found:
        raise ValueError("\n  ".join(["out of bounds:", *found]))
