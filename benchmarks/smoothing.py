"""What the smoothing knob buys: flicker of landmarks on faces that hold still, against lag on faces that move."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.inputs import tracking_files
from benchmarks.latency import machine
from benchmarks.tracking import flicker, lag, smoothed, unbroken
from edge_runtime import Face, FaceTracker
from edge_runtime.files import write_atomically
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import scheme_by_name

KNOBS = (0.0, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class SmoothingConfig:
    """Options of `smoothing`."""

    assets: Path | None = field(
        default=None, metadata={"help": "folder of the 3D assets (docs/assets.md); none: the procedural head"}
    )
    cache: Path = field(default=Path("renders/cache"), metadata={"help": "where what the renderer prepares is kept"})
    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite and .onnx files, or one file"})
    out: Path = field(default=Path("dist/smoothing.json"), metadata={"help": "report; a .png is put beside it"})
    people: int = field(default=6, metadata={"help": "rendered people, each still and moving"})
    frames: int = field(default=120, metadata={"help": "of each sequence, 30 a second"})

    def __post_init__(self) -> None:
        if self.people < 1 or self.frames < 10:
            raise ValueError(f"--people must be 1 or more, --frames 10, got {self.people} and {self.frames}")


@dataclass(frozen=True)
class Tradeoff:
    """One file at one setting of the knob."""

    file: str
    smoothing: float
    flicker_still: float
    """`benchmarks.tracking.flicker`, % of the eye distance."""
    flicker_moving: float
    lag: float
    """Frames, of moving faces."""


class _KnownRegion:
    """A detector that is told where the face is."""

    def __init__(self, region: ROI) -> None:
        self._region = region

    def detect(self, frame: np.ndarray) -> list[ROI]:
        return [self._region]


def smoothing(config: SmoothingConfig) -> None:
    """Render, track, smooth; print a table, write JSON and a chart."""
    # Rendering and charts belong to the part of the project that trains, which a device does not have.
    from atpn.train.plots import Chart, Line, write_charts
    from benchmarks.motion import FPS, moving, open_renderer, still

    models = tracking_files(config.models)
    renderer = open_renderer(config.assets, config.cache)
    sequences = [(make(renderer, n, config.frames), make) for n in range(config.people) for make in (still, moving)]
    results, lines = [], []
    for path in models:
        runs: dict[object, list[list[tuple[float, Face]]]] = {still: [], moving: []}
        for sequence, make in sequences:
            tracker = FaceTracker(path, _KnownRegion(sequence.regions[0]), smoothing=0.0)
            seen = [(i / FPS, next(iter(tracker.update(f, i / FPS)), None)) for i, f in enumerate(sequence.frames)]
            runs[make] += unbroken(seen)
        if not runs[still] or not runs[moving]:
            raise ValueError(f"{path} held none of the rendered faces; give a trained network")
        scheme = tracker.spec.scheme
        made = [tradeoff(path.name, scheme, knob, runs[still], runs[moving]) for knob in KNOBS]
        results += made
        labels = [f"{each.smoothing:g}" for each in made]
        lines.append(Line(path.name, [r.lag for r in made], [r.flicker_still for r in made], dots=True, labels=labels))
        print(f"{path.name}: done", file=sys.stderr)
    report = {
        **machine(),
        "command": ["python", "-m", "benchmarks", *sys.argv[1:]],
        "people": config.people,
        "frames": config.frames,
        "results": [asdict(result) for result in results],
    }
    write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    title, x, y = (
        "rendered faces, by smoothing",
        "lag of moving faces, frames",
        "flicker of still faces, % of eye distance",
    )
    # Room for the labels of the outermost points.
    x_max, y_max = 1.1 * max(r.lag for r in results), 1.1 * max(r.flicker_still for r in results)
    chart = Chart(title, x, y, lines, x_max or None, y_max or None, legend="top right")
    write_charts(config.out.with_suffix(".png"), [chart])
    print(smoothing_table(results))


def tradeoff(
    file: str,
    scheme: str,
    knob: float,
    still: Sequence[list[tuple[float, Face]]],
    moving: Sequence[list[tuple[float, Face]]],
) -> Tradeoff:
    """Smooth unsmoothed tracks at one setting, and measure."""
    residuals = []
    for runs in (still, moving):
        raw, later = [smoothed(run, 0.0) for run in runs], [smoothed(run, knob) for run in runs]
        residuals.append(flicker(later, [scheme_by_name(scheme).inter_ocular(points) for points in raw]))
    return Tradeoff(file, knob, *residuals, lag=lag(raw, later))


def smoothing_table(results: Sequence[Tradeoff]) -> str:
    """One line per file and setting, in markdown."""
    lines = [
        "| file | smoothing | flicker, still % | flicker, moving % | lag, frames |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r.file} | {r.smoothing:g} | {r.flicker_still:.2f} | {r.flicker_moving:.2f} | {r.lag:.2f} |"
        for r in results
    ]
    return "\n".join(lines)
