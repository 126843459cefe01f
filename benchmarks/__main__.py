"""`python -m benchmarks`: how long each exported file takes here, one thread, and what it weighs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.latency import measure, table, write_report
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.flags import parse_flags


@dataclass(frozen=True)
class BenchConfig:
    """What is measured."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite and .onnx files, or one file"})
    out: Path = field(default=Path("dist/latency.json"), metadata={"help": "where the report is written"})
    runs: int = field(default=200, metadata={"help": "timed runs per stage, after a tenth as many to warm up"})
    threads: int = field(default=1, metadata={"help": "threads of the inference engine"})

    def __post_init__(self) -> None:
        if self.runs < 1 or self.threads < 1:
            raise ValueError(f"--runs and --threads must be 1 or more, got {self.runs} and {self.threads}")


def main() -> int:
    """Measure, print a table, write JSON; 1 with a message when there is nothing to measure."""
    config = parse_flags(BenchConfig, "python -m benchmarks", "Time exported models on this machine.")
    try:
        if config.models.is_file():
            paths = [config.models]
        else:
            paths = sorted(p for p in config.models.glob("*") if p.suffix in {".tflite", ".onnx"})
        if not paths:
            raise FileNotFoundError(f"no .tflite or .onnx file in {config.models}: run `make export-tflite` first")
        results = [measure(path, config.runs, config.threads) for path in paths]
        write_report(config.out, results)
    except (EdgeRuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
