"""`python -m benchmarks COMMAND`: what exported files cost, how they track, whether they compute the same elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks import arm64
from benchmarks.agreement import ROUNDING, Bound, agreement_table, compare, problems
from benchmarks.arm64_root import BOARDS, RootError
from benchmarks.device_outputs import DeviceOutputs, device_outputs
from benchmarks.latency import machine, measure, table, write_report
from benchmarks.tracking import track, tracking_table
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.files import write_atomically
from edge_runtime.flags import parse_flags
from edge_runtime.spec import ModelSpec

MAKE_TFLITE = "run `make export-tflite` first"
OTHER_ENGINE_INT8 = Bound(mean=1e-2)
"""An older engine rounds the picture itself otherwise, by a step for half of the pixels."""
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")


@dataclass(frozen=True)
class LatencyConfig:
    """Options of `latency`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite and .onnx files, or one file"})
    out: Path = field(default=Path("dist/latency.json"), metadata={"help": "where the report is written"})
    runs: int = field(default=200, metadata={"help": "timed runs per stage, after a tenth as many to warm up"})
    threads: int = field(default=1, metadata={"help": "threads of the inference engine"})

    def __post_init__(self) -> None:
        if self.runs < 1 or self.threads < 1:
            raise ValueError(f"--runs and --threads must be 1 or more, got {self.runs} and {self.threads}")


@dataclass(frozen=True)
class TrackingConfig:
    """Options of `tracking`."""

    videos: Path = field(default=Path("videos"), metadata={"help": "folder of videos, or one video"})
    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite and .onnx files, or one file"})
    out: Path = field(default=Path("dist/tracking.json"), metadata={"help": "where the report is written"})
    threads: int = field(default=1, metadata={"help": "threads of the inference engine"})

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"--threads must be 1 or more, got {self.threads}")


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


def latency(config: LatencyConfig) -> None:
    """Time every file, print a table, write JSON."""
    results = [measure(path, config.runs, config.threads) for path in _models(config.models)]
    write_report(config.out, results)
    print(table(results))


def tracking(config: TrackingConfig) -> None:
    """Track every video with every file that tracks, print a table, write JSON."""
    models = [path for path in _models(config.models) if "pose" in ModelSpec.read(path).outputs]
    videos = _files(config.videos, VIDEO_SUFFIXES, "name a folder with --videos")
    results = []
    for video in videos:
        for model in models:
            results.append(track(model, video, config.threads))
            print(f"{video.name}, {model.name}: done", file=sys.stderr)
    report = {**machine(), "threads": config.threads, "results": [asdict(result) for result in results]}
    write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    print(tracking_table(results))


def outputs(config: OutputsConfig) -> None:
    """Write what this machine computes."""
    past = None if config.past is None else DeviceOutputs.read(config.past)
    result = device_outputs(_files(config.models, (".tflite",), MAKE_TFLITE), config.pictures, past)
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
    models = _files(config.models, (".tflite",), MAKE_TFLITE)
    boards = list(BOARDS) if config.board == "both" else [config.board]
    _raise_for(arm64.check(config.cache, boards, models, config.pictures, not config.skip_tests))


def _raise_for(found: list[str]) -> None:
    if found:
        raise ValueError("\n  ".join(["out of bounds:", *found]))


def _models(folder: Path) -> list[Path]:
    return _files(folder, (".tflite", ".onnx"), MAKE_TFLITE)


def _files(where: Path, suffixes: tuple[str, ...], remedy: str) -> list[Path]:
    if where.is_file():
        return [where]
    paths = sorted(path for path in where.glob("*") if path.suffix.lower() in suffixes)
    if not paths:
        raise FileNotFoundError(f"no {' or '.join(suffixes)} file in {where}: {remedy}")
    return paths


COMMANDS: dict[str, tuple[Callable[[Any], None], type[Any], str]] = {
    "latency": (latency, LatencyConfig, "time exported models on this machine, stage by stage"),
    "tracking": (tracking, TrackingConfig, "track videos: faces held and lost, flicker, time per frame"),
    "outputs": (outputs, OutputsConfig, "write what this machine computes with exported TFLite files"),
    "agree": (agree, AgreeConfig, "compare that with what another machine or engine computes"),
    "arm64": (check_arm64, Arm64Config, "tests and outputs of the plain install on emulated Raspberry Pis"),
}
"""Name: what runs, the dataclass of its options, a line of help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 done, 1 with a message when there is nothing to measure, 2 for wrong usage."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] not in COMMANDS:
        lines = [f"  {name:10} {text}" for name, (_, _, text) in COMMANDS.items()]
        print("\n".join(["usage: python -m benchmarks COMMAND [--help]", *lines]), file=sys.stderr)
        return 2
    name, *rest = arguments
    command, options, text = COMMANDS[name]
    config = parse_flags(options, f"python -m benchmarks {name}", text, rest)
    try:
        command(config)
    except (EdgeRuntimeError, RootError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
