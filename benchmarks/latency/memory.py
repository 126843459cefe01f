"""Memory of processes on Linux."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
PROGRAM = """
import importlib, sys
import numpy as np
import edge_runtime
from edge_runtime.backends import load_backend
from benchmarks.latency.memory import mebibytes
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
print(imports, mebibytes("VmHWM"))
"""


def peak_memory(model: Path) -> tuple[float, float]:
    """Return the peak MiB of a new process after importing numpy, OpenCV, and the engine, and after running the model.

    One thread. Raise ValueError if the process fails, OSError where there is no /proc.
    """
    mebibytes("VmHWM")
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(model)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"the process that runs {model} failed: {done.stderr.strip().splitlines()[-1]}")
    imports, peak = (float(number) for number in done.stdout.split()[-2:])
    return imports, peak


def mebibytes(key: str) -> float:
    """Return this process's current (`VmRSS`) or peak (`VmHWM`) memory. Raise OSError where there is no /proc.

    `resource.getrusage` is unsuitable: for a new process it includes the one that started it.
    """
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) / 1024
