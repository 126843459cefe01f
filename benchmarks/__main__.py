"""`python -m benchmarks COMMAND`: what exported files cost on this machine, how they track, start and last."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.endurance import EnduranceConfig, endurance
from benchmarks.inputs import VIDEO_SUFFIXES, files, model_files, tracking_files
from benchmarks.latency import machine, measure, table, write_report
from benchmarks.peers.command import PeersConfig, compare
from benchmarks.smoothing import SmoothingConfig, smoothing
from benchmarks.start import start, start_table
from benchmarks.tracking import track, tracking_table
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.files import write_atomically
from edge_runtime.flags import parse_flags


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
class StartConfig:
    """Options of `start`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite and .onnx files, or one file"})
    out: Path = field(default=Path("dist/start.json"), metadata={"help": "where the report is written"})
    runs: int = field(default=5, metadata={"help": "new processes per file"})

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ValueError(f"--runs must be 1 or more, got {self.runs}")


def latency(config: LatencyConfig) -> None:
    """Time every file, print a table, write JSON."""
    results = [measure(path, config.runs, config.threads) for path in model_files(config.models)]
    write_report(config.out, results)
    print(table(results))


def tracking(config: TrackingConfig) -> None:
    """Track every video with every file that tracks, print a table, write JSON."""
    models = tracking_files(config.models)
    videos = files(config.videos, VIDEO_SUFFIXES, "name a folder with --videos")
    results = []
    for video in videos:
        for model in models:
            results.append(track(model, video, config.threads))
            print(f"{video.name}, {model.name}: done", file=sys.stderr)
    report = {**machine(), "threads": config.threads, "results": [asdict(result) for result in results]}
    write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    print(tracking_table(results))


def starting(config: StartConfig) -> None:
    """Start a process with every file that tracks, print a table, write JSON."""
    results = [start(path, config.runs) for path in tracking_files(config.models)]
    report = {**machine(), "runs": config.runs, "results": [asdict(result) for result in results]}
    write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    print(start_table(results))


COMMANDS: dict[str, tuple[Callable[[Any], None], type[Any], str]] = {
    "latency": (latency, LatencyConfig, "time exported models on this machine, stage by stage"),
    "start": (starting, StartConfig, "from a new process to its first face, stage by stage"),
    "endurance": (endurance, EnduranceConfig, "the memory of a long run"),
    "tracking": (tracking, TrackingConfig, "track videos: faces held and lost, flicker, time per frame"),
    "smoothing": (smoothing, SmoothingConfig, "what the smoothing knob buys: flicker against lag, on rendered faces"),
    "peers": (compare, PeersConfig, "other people's networks on the same faces: time as a ratio, errors"),
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
    except (EdgeRuntimeError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
