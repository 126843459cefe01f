"""How long a program waits for its first face: a new process imports, loads both networks, and tracks one frame."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.clip import rendered_face
from benchmarks.inputs import tracking_files
from benchmarks.latency import machine
from edge_runtime.files import write_atomically

STAGES = ("import", "load", "first face")
PROGRAM = """
import json, sys, time
clock = [time.perf_counter()]
import cv2
from edge_runtime import FaceTracker
clock.append(time.perf_counter())
tracker = FaceTracker(sys.argv[1])
clock.append(time.perf_counter())
frame = cv2.imread(sys.argv[2])
clock.append(time.perf_counter())
faces = tracker.update(frame, 0.0)
clock.append(time.perf_counter())
took = [b - a for a, b in zip(clock, clock[1:])]
print(json.dumps({"faces": len(faces), "import": took[0], "load": took[1], "first face": took[3]}), flush=True)
"""


@dataclass(frozen=True)
class StartResult:
    """Medians over new processes, seconds."""

    file: str
    total: float
    """From asking for the process until it has ended, the interpreter's own start and end included."""
    stages: dict[str, float]


def start(model: Path, runs: int) -> StartResult:
    """Start a program so many times. ValueError when it fails or finds no face."""
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "face.png"
        cv2.imwrite(str(picture), rendered_face())
        seen = [_once(model, picture) for _ in range(runs)]
    return StartResult(
        file=model.name,
        total=float(np.median([total for total, _ in seen])),
        stages={stage: float(np.median([answer[stage] for _, answer in seen])) for stage in STAGES},
    )


def _once(model: Path, picture: Path) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(model), str(picture)], capture_output=True, text=True, check=False
    )
    total = time.perf_counter() - began
    answer = json.loads(done.stdout) if done.returncode == 0 else {"faces": 0}
    if not answer["faces"]:
        raise ValueError(f"{model}: no first face; {done.stderr.strip() or 'the detector or the network saw none'}")
    return total, answer


def start_table(results: Sequence[StartResult]) -> str:
    """One line per file."""
    lines = [f"{'file':28} {'total':>7} " + " ".join(f"{stage:>10}" for stage in STAGES)]
    for result in results:
        cells = " ".join(f"{result.stages[stage]:10.3f}" for stage in STAGES)
        lines.append(f"{result.file:28} {result.total:7.3f} {cells}")
    return "\n".join([*lines, "median seconds on this machine; total includes the interpreter's own start and end"])


@dataclass(frozen=True)
class StartConfig:
    """Options of `start`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite and .onnx files, or one file"})
    out: Path = field(default=Path("dist/start.json"), metadata={"help": "where the report is written"})
    runs: int = field(default=5, metadata={"help": "new processes per file"})

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ValueError(f"--runs must be 1 or more, got {self.runs}")


def starting(config: StartConfig) -> None:
    """Start a process with every file that tracks, print a table, write JSON."""
    results = [start(path, config.runs) for path in tracking_files(config.models)]
    report = {**machine(), "runs": config.runs, "results": [asdict(result) for result in results]}
    write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    print(start_table(results))
