"""How a tracker fares on videos: what it holds and loses, how its landmarks flicker, how long a frame takes."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks.inputs import VIDEO_SUFFIXES, files, tracking_files
from benchmarks.latency import machine
from edge_runtime import Face, FaceTracker
from edge_runtime.files import write_atomically
from edge_runtime.landmarks import scheme_by_name
from edge_runtime.smoothing import OneEuroPoints
from edge_runtime.sources import open_source

SMOOTHING = 0.5
"""The tracker's default."""
MOST_LAG = 4
"""Frames up to which the smoother's lag is looked for."""


@dataclass(frozen=True)
class TrackingResult:
    """One file on one video, one face at a time."""

    video: str
    file: str
    frames: int
    held: float
    """Share of frames with a face."""
    losses: int
    detector_runs: int
    ids: int
    """Different faces that it believes to have seen."""
    redetections: int
    """Times that a face, the same or another, was found after one was lost."""
    found_again: float | None
    """Mean seconds from a loss to the next face; None without a loss that ended."""
    flicker: float
    """Mean distance of a landmark from the middle of its places one frame before and after, % of the eye distance."""
    flicker_smoothed: float
    lag: float
    """Frames by which the smoothed landmarks trail."""
    milliseconds: float
    """Median of a frame that was tracked, everything but reading it. With one thread, that thread's processor time:
    an idle machine's milliseconds on a busy one, too."""


def track(model: Path, video: Path, threads: int = 1) -> TrackingResult:
    """Run a model over a video; the errors are those of `FaceTracker` and `open_source`."""
    tracker = FaceTracker(model, smoothing=0.0, threads=threads)
    seen: list[tuple[float, Face | None]] = []
    times = []
    cv2.setNumThreads(threads)
    clock = time.thread_time if threads == 1 else time.perf_counter
    with open_source(str(video)) as source:
        for frame in source:
            began = clock()
            faces = tracker.update(frame.image, frame.timestamp)
            spent = (clock() - began) * 1e3
            if faces and faces[0].age:
                times.append(spent)
            seen.append((frame.timestamp, faces[0] if faces else None))
    gaps = found_again(seen)
    scheme = scheme_by_name(tracker.spec.scheme)
    runs = unbroken(seen)
    raw = [np.stack([face.landmarks for _, face in run]) for run in runs]
    smooth = [smoothed(run) for run in runs]
    eyes = [scheme.inter_ocular(points) for points in raw]
    return TrackingResult(
        video=video.name,
        file=model.name,
        frames=len(seen),
        held=sum(face is not None for _, face in seen) / len(seen),
        losses=tracker.stats.losses,
        detector_runs=tracker.stats.detector_runs,
        ids=len({face.id for _, face in seen if face is not None}),
        redetections=len(gaps),
        found_again=float(np.mean(gaps)) if gaps else None,
        flicker=flicker(raw, eyes),
        flicker_smoothed=flicker(smooth, eyes),
        lag=lag(raw, smooth),
        milliseconds=float(np.median(times)) if times else float("nan"),
    )


def unbroken(seen: Sequence[tuple[float, Face | None]]) -> list[list[tuple[float, Face]]]:
    """Stretches of consecutive frames that hold the same face."""
    runs: list[list[tuple[float, Face]]] = []
    previous: Face | None = None
    for timestamp, face in seen:
        if face is not None:
            if previous is None or previous.id != face.id or face.age == 0:
                runs.append([])
            runs[-1].append((timestamp, face))
        previous = face
    return runs


def smoothed(run: Sequence[tuple[float, Face]], smoothing: float = SMOOTHING) -> np.ndarray:
    """(T, N, 2) landmarks as the tracker gives them with its default or another smoothing in [0, 1]."""
    if smoothing == 0:
        return np.stack([face.landmarks for _, face in run])
    point_filter = OneEuroPoints(smoothing)
    return np.stack([point_filter(face.landmarks, timestamp, face.roi.size) for timestamp, face in run])


def found_again(seen: Sequence[tuple[float, Face | None]]) -> list[float]:
    """Seconds of each gap between faces."""
    gaps: list[float] = []
    lost: float | None = None
    for (before, face), (now, following) in itertools.pairwise(seen):
        if face is not None and following is None:
            lost = before
        elif face is None and following is not None and lost is not None:
            gaps.append(now - lost)
            lost = None
    return gaps


def flicker(runs: Sequence[np.ndarray], eyes: Sequence[np.ndarray]) -> float:
    """Mean high-frequency residual of (T, N, 2) landmarks, % of the (T,) eye distances; steady motion has none."""
    residuals = [
        np.linalg.norm(points[1:-1] - (points[:-2] + points[2:]) / 2, axis=2).mean(axis=1) / eye[1:-1]
        for points, eye in zip(runs, eyes, strict=True)
        if len(points) > 2
    ]
    return 100 * float(np.concatenate(residuals).mean()) if residuals else float("nan")


def lag(raw: Sequence[np.ndarray], smooth: Sequence[np.ndarray]) -> float:
    """Frames, to a fiftieth, by which raw landmarks must be delayed to agree best with the smoothed ones."""
    delays = np.arange(0, MOST_LAG + 0.01, 0.02)
    errors = np.zeros(len(delays))
    for points, later in zip(raw, smooth, strict=True):
        if len(points) <= MOST_LAG + 1:
            continue
        for index, delay in enumerate(delays):
            whole, part = int(delay), delay - int(delay)
            times = np.arange(MOST_LAG + 1, len(points))
            delayed = (1 - part) * points[times - whole] + part * points[times - whole - 1]
            errors[index] += ((later[times] - delayed) ** 2).sum()
    return float(delays[int(errors.argmin())]) if errors.any() else 0.0


def tracking_table(results: Sequence[TrackingResult]) -> str:
    """One line per video and file."""
    header = (
        f"{'video':12} {'file':20} {'frames':>6} {'held %':>7} {'losses':>6} {'again':>5} {'after s':>7} {'ids':>4} "
        f"{'searches':>8} {'flicker %':>9} {'smoothed':>8} {'lag':>5} {'ms':>7}"
    )
    lines = [header]
    for r in results:
        again = "" if r.found_again is None else f"{r.found_again:.2f}"
        lines.append(
            f"{r.video:12} {r.file:20} {r.frames:6d} {100 * r.held:7.1f} {r.losses:6d} {r.redetections:5d} {again:>7} "
            f"{r.ids:4d} {r.detector_runs:8d} {r.flicker:9.2f} {r.flicker_smoothed:8.2f} {r.lag:5.1f} "
            f"{r.milliseconds:7.2f}"
        )
    lines.append(
        "flicker: of landmarks between neighbouring frames, % of the eye distance; lag of the default smoothing in "
        "frames; ms: median of a tracked frame on this machine, reading it left out"
    )
    return "\n".join(lines)


@dataclass(frozen=True)
class TrackingConfig:
    """Options of `tracking`."""

    videos: Path = field(default=Path("videos"), metadata={"help": "folder of videos, or one video"})
    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite and .onnx files, or one file"})
    out: Path = field(default=Path("dist/tracking.json"), metadata={"help": "where the report is written"})
    threads: int = field(default=1, metadata={"help": "threads of the inference engine"})

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"--threads must be 1 or more, got {self.threads}")


def tracking(config: TrackingConfig) -> None:
    """Track every video with every file that tracks, print a table, write JSON."""
    models = tracking_files(config.models)
    videos = files(config.videos, VIDEO_SUFFIXES, "name a folder with --videos")
    results = []
    for video in videos:
        for model in models:
            results.append(track(model, video, config.threads))
            print(f"{video.name}, {model.name}: done", file=sys.stderr)
    report = {**machine(), "threads": config.threads, "results": [asdict(result) for result in results]}
    write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    print(tracking_table(results))
