"""Latency of one tracked face, and of one detection: stage by stage, and of the tracker's whole frame."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.frame_cost import SCENES, FrameCost, clock_for, frame_costs
from benchmarks.inputs import model_files
from edge_runtime.backends import Backend, load_backend
from edge_runtime.detector import fit_frame, read_regions
from edge_runtime.files import write_atomically
from edge_runtime.geometry import ROI, Intrinsics, angles_to_matrix, crop_to_camera, extract_crop, upright_roll
from edge_runtime.machine import processor_name
from edge_runtime.smoothing import OneEuroPoints, OneEuroRotation

FRAME_SIZE = (640, 480)
FACE_SIZE = 240.0
"""Side of the face's ROI in that frame, pixels: a person before a webcam."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds per call."""

    median: float
    p95: float


@dataclass(frozen=True)
class LatencyResult:
    """What one file costs on this machine."""

    file: str
    kilobytes: float
    precision: str
    engine: str
    threads: int
    start: float
    """Milliseconds from a file to a loaded model, once."""
    stages: dict[str, Timing]
    """In turn, so that each finds the caches as the others leave them, most of all the network."""
    frames: dict[str, FrameCost]
    """Whole tracked frames; none of a detector's."""


def measure(path: Path, runs: int, threads: int) -> LatencyResult:
    """Time a model's stages; the errors are those of `load_backend`."""
    began = time.perf_counter()
    backend = load_backend(path, threads=threads)
    start = (time.perf_counter() - began) * 1e3
    cv2.setNumThreads(threads)
    rng = np.random.default_rng(0)
    frame = cv2.GaussianBlur(rng.integers(0, 256, (*FRAME_SIZE[::-1], 3), np.uint8), (0, 0), 3)
    is_detector, has_heads = backend.spec.is_detector, "confidence" in backend.spec.outputs
    stages = _detection(backend, frame) if is_detector else _tracking(backend, frame)
    return LatencyResult(
        file=path.name,
        kilobytes=path.stat().st_size / 1024,
        precision=backend.spec.precision,
        engine=type(backend).__name__,
        threads=threads,
        start=start,
        stages=_time(stages, runs, threads),
        frames=frame_costs(backend, runs, threads) if has_heads else {},
    )


def _detection(backend: Backend, frame: np.ndarray) -> dict[str, Callable[[], object]]:
    spec = backend.spec
    picture = cv2.cvtColor(fit_frame(frame, spec.input_size)[0], cv2.COLOR_BGR2RGB)
    outputs = backend.run(picture)
    return {
        "crop": lambda: cv2.cvtColor(fit_frame(frame, spec.input_size)[0], cv2.COLOR_BGR2RGB),
        "network": lambda: backend.run(picture),
        "decode": lambda: read_regions(outputs["scores"], outputs["regions"], spec.track_threshold),
    }


def _tracking(backend: Backend, frame: np.ndarray) -> dict[str, Callable[[], object]]:
    spec = backend.spec
    roi = ROI(FRAME_SIZE[0] / 2, FRAME_SIZE[1] / 2, FACE_SIZE, 0.1)
    intrinsics = Intrinsics.from_fov(*FRAME_SIZE)
    crop = cv2.cvtColor(extract_crop(frame, roi, spec.input_size), cv2.COLOR_BGR2RGB)
    outputs = backend.run(crop)
    points, rotations = OneEuroPoints(0.5), OneEuroRotation(0.5)
    landmarks, rotation = roi.to_frame(outputs["landmarks"]), crop_to_camera(roi, intrinsics)
    clock = itertools.count(0.0, 1 / 30)

    def decode() -> None:
        landmarks = roi.to_frame(outputs["landmarks"])
        ROI.from_landmarks(landmarks, upright_roll(landmarks, spec.mean_shape), spec.crop_margin)

    def smooth() -> None:
        now = next(clock)
        points(landmarks, now, roi.size)
        rotations(rotation, now)

    stages: dict[str, Callable[[], object]] = {
        "crop": lambda: cv2.cvtColor(extract_crop(frame, roi, spec.input_size), cv2.COLOR_BGR2RGB),
        "network": lambda: backend.run(crop),
        "decode": decode,
        "smooth": smooth,
    }
    if "pose" in outputs:
        stages["pose"] = lambda: crop_to_camera(roi, intrinsics) @ angles_to_matrix(outputs["pose"])
    return stages


def _time(stages: Mapping[str, Callable[[], object]], runs: int, threads: int) -> dict[str, Timing]:
    clock = clock_for(threads)
    samples: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(runs + max(1, runs // 10)):
        for name, call in stages.items():
            began = clock()
            call()
            samples[name].append((clock() - began) * 1e3)
    kept = {name: times[-runs:] for name, times in samples.items()}
    return {name: Timing(float(np.median(t)), float(np.percentile(t, 95))) for name, t in kept.items()}


def machine() -> dict[str, Any]:
    """The machine and the versions that measured times belong to."""
    packages = ("numpy", "opencv-python-headless", "ai-edge-litert", "onnxruntime")
    return {
        "machine": {"processor": processor_name(), "system": platform.platform(), "python": platform.python_version()},
        "versions": {name: _version(name) for name in packages},
    }


def write_report(path: Path, results: Sequence[LatencyResult]) -> None:
    """JSON with the machine and the versions that the numbers belong to."""
    report = {
        **machine(),
        "frame": FRAME_SIZE,
        "roi": FACE_SIZE,
        "results": [asdict(result) for result in results],
    }
    write_atomically(path, (json.dumps(report, indent=2) + "\n").encode())


def table(results: Sequence[LatencyResult]) -> str:
    """Median milliseconds per stage and what a frame costs beside the network, one line per file."""
    stages = list(dict.fromkeys(stage for result in results for stage in result.stages))
    columns = [*stages, *(f"+ {scene}" for scene in SCENES)]
    lines = [f"{'file':28} {'KiB':>7} {'start':>7} " + " ".join(f"{column:>8}" for column in columns)]
    for result in results:
        times = [f"{result.stages[stage].median:.3f}" if stage in result.stages else "" for stage in stages]
        shares = [f"{100 * result.frames[scene].share:.0f} %" if scene in result.frames else "" for scene in SCENES]
        cells = " ".join(f"{cell:>8}" for cell in (*times, *shares))
        lines.append(f"{result.file:28} {result.kilobytes:7.0f} {result.start:7.1f} {cells}")
    threads = results[0].threads
    lines.append(f"median milliseconds on this machine, {threads} thread(s), batch 1; ROI {FACE_SIZE:.0f} px")
    sizes = {name: f"{cost.region:.0f} px" for result in results for name, cost in result.frames.items()}
    seen = ", ".join(f"{name}: {size}" for name, size in sizes.items())
    lines.append(f"+: a tracked frame beside its network, in % of the network's own time; regions {seen or 'none'}")
    return "\n".join(lines)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


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


def latency(config: LatencyConfig) -> None:
    """Time every file, print a table, write JSON."""
    results = [measure(path, config.runs, config.threads) for path in model_files(config.models)]
    write_report(config.out, results)
    print(table(results))
