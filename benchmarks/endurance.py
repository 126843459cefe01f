"""Whether a long run grows: the memory that the process holds while a tracker follows a face that comes and goes."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.clip import frame_at, rendered_face
from benchmarks.latency import machine
from edge_runtime import FaceTracker
from edge_runtime.draw import draw_faces
from edge_runtime.files import write_atomically
from edge_runtime.landmarks import SCHEMES
from edge_runtime.sinks import face_to_dict

CHECKPOINTS = (0.01, 0.1, 0.5, 1.0)
"""Shares of the run after which memory is read."""
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class EnduranceConfig:
    """Options of `endurance`."""

    model: Path = field(default=Path("dist/atpn_int8.tflite"), metadata={"help": ".tflite or .onnx file"})
    out: Path = field(default=Path("dist/endurance.json"), metadata={"help": "where the report is written"})
    frames: int = field(default=100_000, metadata={"help": "length of the run"})
    most: float = field(default=1.0, metadata={"help": "MiB that the last nine tenths of the run may leave behind"})

    def __post_init__(self) -> None:
        if self.frames < 100:
            raise ValueError(f"--frames must be 100 or more, got {self.frames}")


@dataclass(frozen=True)
class Checkpoint:
    """What the process holds after so many frames."""

    frames: int
    resident: float
    """MiB of memory."""
    objects: int
    """That Python's garbage collector knows."""
    losses: int
    """Faces that went so far."""
    milliseconds: float
    """Per frame since the last checkpoint, drawing the frame and the overlay included."""


def run(tracker: FaceTracker, frames: int) -> Iterator[Checkpoint]:
    """Follow the endless clip, draw and serialise each frame as the command does. OSError where there is no /proc."""
    face, scheme = rendered_face(), SCHEMES.get(tracker.spec.scheme)
    due = [max(1, round(share * frames)) for share in CHECKPOINTS]
    began, before = time.perf_counter(), 0
    for number in range(1, frames + 1):
        image = frame_at(face, number)
        faces = tracker.update(image, number / 30)
        draw_faces(image, faces, scheme)
        json.dumps([face_to_dict(found) for found in faces])
        if number in due:
            spent = time.perf_counter() - began
            gc.collect()
            yield Checkpoint(
                number, resident(), len(gc.get_objects()), tracker.stats.losses, 1e3 * spent / (number - before)
            )
            began, before = time.perf_counter(), number


def resident() -> float:
    """MiB of memory that this process holds. OSError where the system has no /proc."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def endurance(config: EnduranceConfig) -> None:
    """Run, print a line per checkpoint, write JSON; ValueError when memory grew."""
    resident()  # fails at once where it must
    checkpoints: list[Checkpoint] = []
    print(f"{'frames':>8} {'MiB':>7} {'objects':>8} {'losses':>7} {'ms/frame':>9}")
    for point in run(FaceTracker(config.model), config.frames):
        checkpoints.append(point)
        print(
            f"{point.frames:8} {point.resident:7.1f} {point.objects:8} {point.losses:7} {point.milliseconds:9.2f}",
            flush=True,
        )
    report = {**machine(), "model": config.model.name, "checkpoints": [asdict(point) for point in checkpoints]}
    write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    grown = checkpoints[-1].resident - checkpoints[1].resident
    if grown > config.most:
        raise ValueError(f"{grown:.1f} MiB were left behind after frame {checkpoints[1].frames}, {config.most} at most")
