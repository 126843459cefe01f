"""Memory that processes hold, as Linux tells it."""

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
    """MiB that a new process held at most: with numpy, OpenCV and the engine imported, and after it ran the model.

    One thread. ValueError when the process fails, OSError where the system has no /proc.
    """
    mebibytes("VmHWM")
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(model)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"the process that runs {model} failed: {done.stderr.strip().splitlines()[-1]}")
    imports, peak = (float(number) for number in done.stdout.split()[-2:])
    return imports, peak


def mebibytes(key: str) -> float:
    """What this process holds now (`VmRSS`) or held at most (`VmHWM`). OSError where the system has no /proc.

    Not `resource.getrusage`: what that tells of a new process includes the one that started it.
    """
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) / 1024
