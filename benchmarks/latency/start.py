"""Start time: a new process imports, loads both networks, and tracks one frame."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2

from benchmarks.clip import rendered_face

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


def start(model: Path) -> dict[str, float]:
    """Return the seconds that a new process takes to import, to load, and to find its first face, and the whole.

    The whole includes start and end of the interpreter. Raise ValueError if the process fails or finds no face.
    """
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "face.png"
        cv2.imwrite(str(image), rendered_face())
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(model), str(image)], capture_output=True, text=True, check=False
        )
        whole = time.perf_counter() - began
    answer = json.loads(done.stdout) if done.returncode == 0 else {"faces": 0}
    if not answer.pop("faces"):
        reason = done.stderr.strip().splitlines()[-1] if done.returncode else "neither detector nor network found one"
        raise ValueError(f"{model}: no first face; {reason}")
    return {**answer, "whole": whole}
