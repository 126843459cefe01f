"""Soak test: memory of the process while a tracker follows a face that leaves and returns."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clip import frame_at, rendered_face
from benchmarks.inputs import check_minimum, out_option
from benchmarks.latency.processes import mebibytes
from benchmarks.results import Curve, Metric, Results, mean_and_error
from edge_runtime import FaceTracker, TrackerOptions
from edge_runtime.draw import draw_faces
from edge_runtime.flags import flag
from edge_runtime.output_paths import OutputFile

PARTS = 10
"""Parts of the run. Memory is read after each; growth counts from the end of the first."""


@dataclass(frozen=True)
class SoakConfig:
    """Options of `soak`."""

    model: Path = flag(Path("dist/atpn_int8.tflite"), ".tflite or .onnx file")
    out: OutputFile = out_option("soak")
    frames: int = flag(100_000, "length of the run, frames")
    max_growth: float = flag(1.0, "allowed growth of memory over the last nine tenths of the run, MiB")

    def __post_init__(self) -> None:
        check_minimum(self, frames=100)


@dataclass(frozen=True)
class Checkpoint:
    """State of the process after a number of frames."""

    frames: int
    resident: float
    """Memory, MiB."""
    objects: int
    """Number of objects that Python's garbage collector tracks."""
    losses: int
    """Number of lost faces so far."""
    milliseconds: float
    """Time per frame since the last checkpoint, including drawing."""


def run(tracker: FaceTracker, frames: int) -> Iterator[Checkpoint]:
    """Track the endless clip; draw and serialize each frame. Raise OSError where there is no /proc."""
    face = rendered_face()
    due = [round(frames * part / PARTS) for part in range(1, PARTS + 1)]
    began, before = time.perf_counter(), 0
    for number in range(1, frames + 1):
        image = frame_at(face, number)
        faces = tracker.update(image, number / 30)
        draw_faces(image, faces)
        json.dumps([found.to_dict() for found in faces])
        if number in due:
            milliseconds = 1e3 * (time.perf_counter() - began) / (number - before)
            gc.collect()
            yield Checkpoint(number, resident(), len(gc.get_objects()), tracker.stats.lost_count, milliseconds)
            began, before = time.perf_counter(), number


def resident() -> float:
    """Return the memory of this process, MiB. Raise OSError where there is no /proc."""
    return mebibytes("VmRSS")


def soak(config: SoakConfig) -> None:
    """Run, print a line per checkpoint, and write the results. Raise ValueError when memory grew."""
    resident()  # fail before the run where there is no /proc
    checkpoints: list[Checkpoint] = []
    print(f"{'frames':>8} {'MiB':>7} {'objects':>8} {'losses':>7} {'ms/frame':>9}")
    for point in run(FaceTracker(TrackerOptions(model=config.model)), config.frames):
        checkpoints.append(point)
        line = f"{point.frames:8} {point.resident:7.1f} {point.objects:8} {point.losses:7} {point.milliseconds:9.2f}"
        print(line, flush=True)
    soak_results(config.model.name, checkpoints).write(config.out)
    print(f"written: {config.out}")
    first, last = checkpoints[0], checkpoints[-1]
    if (growth := last.resident - first.resident) > config.max_growth:
        raise ValueError(f"memory grew by {growth:.1f} MiB after frame {first.frames}, allowed {config.max_growth}")


def soak_results(model: str, checkpoints: Sequence[Checkpoint]) -> Results:
    """Return the metrics of a run and the curve of its memory."""
    first, last = checkpoints[0], checkpoints[-1]
    time_per_frame, error = mean_and_error([point.milliseconds for point in checkpoints])
    objects = last.objects - first.objects - (len(checkpoints) - 1)  # the checkpoints themselves
    frames, memory = ([getattr(point, name) for point in checkpoints] for name in ("frames", "resident"))
    return Results(
        "soak",
        [
            Metric("long run", model, "memory", last.resident, "MiB"),
            Metric("long run", model, "memory left behind", last.resident - first.resident, "MiB"),
            Metric("long run", model, "objects left behind", objects, ""),
            Metric("long run", model, "frame, drawn and serialized", time_per_frame, "ms", error),
        ],
        [Curve("memory of a long run", model, "frames", "MiB", frames, memory)],
        notes=[
            f"A rendered face sways and leaves, {last.losses} times in {last.frames} frames. Left behind: since frame "
            f"{first.frames}."
        ],
        settings={"frames": last.frames},
    )
