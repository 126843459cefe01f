"""Start time and memory of new processes, and memory of this one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2

from benchmarks.clip import rendered_face

STATUS = Path("/proc/self/status")
MEMORY_PROGRAM = """
import importlib, json, sys
import numpy as np
import edge_runtime
from edge_runtime.backends import load_backend
from benchmarks.latency.processes import mebibytes
for engine in ("onnxruntime",) if sys.argv[1].endswith(".onnx") else ("ai_edge_litert", "tflite_runtime"):
    try:
        importlib.import_module(engine if engine == "onnxruntime" else f"{engine}.interpreter")
        break
    except ImportError:
        pass
imports = mebibytes("VmHWM")
backend = load_backend(sys.argv[1])
for _ in range(10):
    backend.run(np.zeros((backend.spec.input_size,) * 2 + (3,), np.uint8))
print(json.dumps([imports, mebibytes("VmHWM")]))
"""
START_PROGRAM = """
import json, sys, time
clock = [time.perf_counter()]
import cv2
from edge_runtime import FaceTracker, TrackerOptions
clock.append(time.perf_counter())
tracker = FaceTracker(TrackerOptions(model=sys.argv[1]))
clock.append(time.perf_counter())
frame = cv2.imread(sys.argv[2])
clock.append(time.perf_counter())
faces = tracker.update(frame, 0.0)
clock.append(time.perf_counter())
took = [b - a for a, b in zip(clock, clock[1:])]
print(json.dumps({"faces": len(faces), "import": took[0], "load": took[1], "first face": took[3]}), flush=True)
"""


def peak_memory(model: Path) -> tuple[float, float]:
    """Return the peak MiB of a new process after importing numpy, OpenCV, and the engine, and after running the model.

    One thread. Raise ValueError if the process fails, OSError where there is no /proc.
    """
    mebibytes("VmHWM")
    imports, peak = _run(MEMORY_PROGRAM, model)
    return imports, peak


def mebibytes(key: str) -> float:
    """Return this process's current (`VmRSS`) or peak (`VmHWM`) memory. Raise OSError where there is no /proc.

    `resource.getrusage` is unsuitable: for a new process it includes the one that started it.
    """
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) / 1024


def start(model: Path) -> dict[str, float]:
    """Return the seconds that a new process takes to import, to load, and to find its first face, and the whole.

    The whole includes start and end of the interpreter. Raise ValueError if the process fails or finds no face.
    """
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "face.png"
        cv2.imwrite(str(image), rendered_face())
        began = time.perf_counter()
        seconds = _run(START_PROGRAM, model, image)
        whole = time.perf_counter() - began
    if not seconds.pop("faces"):
        raise ValueError(f"{model}: no first face; neither detector nor network found one")
    return {**seconds, "whole": whole}


def _run(program: str, model: Path, *arguments: Path) -> Any:
    """Run a program in a new process and return the JSON in its last line of output."""
    command = [sys.executable, "-c", program, *map(str, (model, *arguments))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"the process that runs {model} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
