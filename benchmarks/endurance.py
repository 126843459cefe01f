"""Whether a long run grows: the memory that the process holds while a tracker follows a face that comes and goes."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.clip import frame_at, rendered_face
from benchmarks.latency.memory import mebibytes
from benchmarks.results import Curve, Figure, Results, mean_and_noise
from edge_runtime import FaceTracker
from edge_runtime.draw import draw_faces
from edge_runtime.landmarks import SCHEMES
from edge_runtime.sinks import face_to_dict

PARTS = 10
"""Of the run; memory is read after each, and what the first leaves behind counts as starting."""


@dataclass(frozen=True)
class EnduranceConfig:
    """Options of `endurance`."""

    model: Path = field(default=Path("dist/atpn_int8.tflite"), metadata={"help": ".tflite or .onnx file"})
    out: Path = field(default=Path("dist/bench/endurance.json"), metadata={"help": "where the results are written"})
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
    due = [round(frames * part / PARTS) for part in range(1, PARTS + 1)]
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
                number, resident(), len(gc.get_objects()), tracker.stats.lost_count, 1e3 * spent / (number - before)
            )
            began, before = time.perf_counter(), number


def resident() -> float:
    """MiB of memory that this process holds. OSError where the system has no /proc."""
    return mebibytes("VmRSS")


def endurance(config: EnduranceConfig) -> None:
    """Run, print a line per checkpoint, write the results; ValueError when memory grew."""
    resident()  # fails at once where it must
    checkpoints: list[Checkpoint] = []
    print(f"{'frames':>8} {'MiB':>7} {'objects':>8} {'losses':>7} {'ms/frame':>9}")
    for point in run(FaceTracker(config.model), config.frames):
        checkpoints.append(point)
        print(
            f"{point.frames:8} {point.resident:7.1f} {point.objects:8} {point.losses:7} {point.milliseconds:9.2f}",
            flush=True,
        )
    results = endurance_results(config.model.name, checkpoints)
    results.write(config.out)
    print(f"written: {config.out}")
    first, last = checkpoints[0], checkpoints[-1]
    if (grown := last.resident - first.resident) > config.most:
        raise ValueError(f"{grown:.1f} MiB were left behind after frame {first.frames}, {config.most} at most")


def endurance_results(model: str, checkpoints: Sequence[Checkpoint]) -> Results:
    """Figures of a run and the curve of its memory."""
    first, last = checkpoints[0], checkpoints[-1]
    time_per_frame, noise = mean_and_noise([point.milliseconds for point in checkpoints])
    objects = last.objects - first.objects - (len(checkpoints) - 1)  # checkpoints are objects, too
    values: list[tuple[str, float, str, float]] = [
        ("memory", last.resident, "MiB", 0.0),
        ("memory left behind", last.resident - first.resident, "MiB", 0.0),
        ("objects left behind", objects, "", 0.0),
        ("frame, drawn and serialised", time_per_frame, "ms", noise),
    ]
    return Results(
        "endurance",
        [Figure("long run", model, column, value, unit, noise) for column, value, unit, noise in values],
        curves=[
            Curve(
                chart="memory of a long run",
                name=model,
                x_label="frames",
                y_label="MiB",
                x=[point.frames for point in checkpoints],
                y=[point.resident for point in checkpoints],
            )
        ],
        notes=[
            f"A rendered face sways before a camera and leaves, {last.losses} times in {last.frames} frames; left "
            f"behind: since frame {first.frames}."
        ],
        settings={"frames": last.frames},
    )
