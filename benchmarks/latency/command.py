"""What exported files cost on this machine: time of each stage and of whole frames, start, size, memory, energy."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks.inputs import model_files
from benchmarks.latency.energy import NOT_TOLD, EnergyMeter
from benchmarks.latency.frame_cost import SCENES, clock_for, frame_times
from benchmarks.latency.memory import peak_memory
from benchmarks.latency.stages import FACE_SIZE, FRAME_SIZE, Stages, stages
from benchmarks.latency.start import start
from benchmarks.machine import megahertz
from benchmarks.results import BLOCKS, Figure, Results, mean_and_noise, median_and_noise, percentile_and_noise
from edge_runtime.backends import Backend, load_backend
from edge_runtime.errors import EdgeRuntimeError

STARTS, MEMORY_RUNS = 10, 3
"""New processes per file: ten tell the noise of a median, and memory hardly differs."""
FRAMES, START, MEMORY = "tracked frame, 1 thread", "start of a new process", "size and memory"
ENERGY, CLOCK = "energy of one face's network", "processor clock"

Samples = dict[tuple[str, str], list[float]]
"""Milliseconds by file and column, in order of time."""


@dataclass(frozen=True)
class LatencyConfig:
    """Options of `latency`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite and .onnx files, or one file"})
    out: Path = field(default=Path("dist/bench/latency.json"), metadata={"help": "where the results are written"})
    runs: int = field(default=200, metadata={"help": "timed runs of each stage, after a tenth as many to warm up"})
    threads: tuple[int, ...] = field(
        default=(1, 2, 0), metadata={"help": "threads of the inference engine, one after the other; 0: all cores"}
    )

    def __post_init__(self) -> None:
        if self.runs < BLOCKS:
            raise ValueError(f"--runs must be {BLOCKS} or more, got {self.runs}")
        if min(self.threads) < 0:
            raise ValueError(f"--threads must be 0 or more, got {min(self.threads)}")

    @property
    def thread_counts(self) -> list[int]:
        """Each once, with all cores as their number."""
        return list(dict.fromkeys(threads or os.cpu_count() or 1 for threads in self.threads))


def latency(config: LatencyConfig) -> None:
    """Measure every file, print a table, write the results; ValueError when no file can be measured."""
    results = measure(model_files(config.models), config)
    results.write(config.out)
    print(summary(results))
    print(f"written: {config.out}")


def measure(models: Sequence[Path], config: LatencyConfig) -> Results:
    """Everything about these files; what cannot be measured is told in a note. ValueError when that is all."""
    problems: list[str] = []
    figures: list[Figure] = []
    loaded: dict[Path, Backend] = {}
    regions: dict[str, float] = {}
    meter = EnergyMeter.find()
    for threads in config.thread_counts:
        loaded = _load(models, threads, problems)
        if not loaded:
            raise ValueError("\n  ".join(["no file can be measured:", *problems]))
        figures += _stage_figures(loaded, threads, config.runs, meter)
    trackers = {path: backend for path, backend in loaded.items() if "pose" in backend.spec.outputs}
    figures += _frame_figures(_load(trackers, 1, problems), config.runs, regions, problems)
    figures += _start_figures(trackers, problems)
    figures += _memory_figures(loaded, problems)
    figures.sort(key=lambda figure: figure.table in (ENERGY, CLOCK))  # these last
    for problem in dict.fromkeys(problems):
        print(f"warning: {problem}", file=sys.stderr)
    return Results(
        "latency",
        figures,
        stacked=[f"latency, {_threads(threads)}" for threads in config.thread_counts],
        notes=[*_notes(regions), *([] if meter else [NOT_TOLD]), *dict.fromkeys(problems)],
        settings={
            "runs": config.runs,
            "threads": config.thread_counts,
            "frame": FRAME_SIZE,
            "region": FACE_SIZE,
            "engines": {path.name: type(backend).__name__ for path, backend in loaded.items()},
        },
    )


def _notes(regions: dict[str, float]) -> list[str]:
    sizes = ", ".join(f"{scene} {region:.0f} px" for scene, region in regions.items())
    return [
        "Milliseconds per call, batch 1: medians, and 95th percentiles in tables of their own. With one thread it is "
        "that thread's processor time, an idle machine's milliseconds on a busy one, too; with more the wall's. Files "
        f"take turns in {BLOCKS} rounds, and stages within a file, so that each finds the caches as the others leave "
        "them.",
        f"Stages: of a face whose region is {FACE_SIZE:.0f} px wide in a frame of {FRAME_SIZE[0]} x {FRAME_SIZE[1]}.",
        f"Tracked frame: the tracker's whole update on rendered faces ({sizes or 'none held'}), three: of three faces "
        "side by side; beside: everything but the network, % of the network's own time.",
        "Start: from asking for a process to its first face and its end, files cached by the system; the rest of the "
        "whole is the interpreter's own. Memory: what a process held at most, and what of it came after importing "
        "numpy, OpenCV and the engine.",
    ]


def _load(models: Iterable[Path], threads: int, problems: list[str]) -> dict[Path, Backend]:
    loaded = {}
    for path in models:
        with _telling(problems, path.name):
            loaded[path] = load_backend(path, threads=threads)
            stages(loaded[path])
    return loaded


def _stage_figures(loaded: dict[Path, Backend], threads: int, runs: int, meter: EnergyMeter | None) -> Iterator[Figure]:
    """Of stages, their energy, and the processor's clock meanwhile."""
    cv2.setNumThreads(threads)
    samples: Samples = {}
    energy: dict[str, list[float]] = {}
    clocks = [megahertz()]
    calls = {path.name: stages(backend) for path, backend in loaded.items()}
    for _ in range(BLOCKS):
        for name, each in calls.items():
            for stage, times in _time(each, runs // BLOCKS, threads).items():
                samples.setdefault((name, stage), []).extend(times)
            if meter is not None:
                before = meter.read()
                for _ in range(runs // BLOCKS):
                    each["network"]()
                energy.setdefault(name, []).append(meter.since(before) / (runs // BLOCKS))
        clocks.append(megahertz())
    title = _threads(threads)
    yield from _time_figures(f"latency, {title}", samples)
    for name, values in energy.items():
        mean, noise = mean_and_noise(values)
        yield Figure(ENERGY, name, title, mean, "mJ", noise)
    if told := [clock["now"] for clock in clocks if "now" in clock]:
        for column, value in (("first", told[0]), ("lowest", min(told)), ("last", told[-1])):
            yield Figure(CLOCK, title, column, float(round(value)), "MHz", better="")


def _time(calls: Stages, runs: int, threads: int) -> dict[str, list[float]]:
    """Milliseconds of so many turns through the stages, a tenth as many before them to warm up."""
    clock = clock_for(threads)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs + max(1, runs // 10)):
        for name, call in calls.items():
            began = clock()
            call()
            samples[name].append((clock() - began) * 1e3)
    return {name: times[-runs:] for name, times in samples.items()}


def _frame_figures(
    loaded: dict[Path, Backend], runs: int, regions: dict[str, float], problems: list[str]
) -> Iterator[Figure]:
    """Of whole tracked frames; fills in the size of each scene's region."""
    cv2.setNumThreads(1)
    samples: Samples = {}
    shares: Samples = {}
    for _ in range(BLOCKS):
        for path, backend in loaded.items():
            for scene in SCENES:
                with _telling(problems, f"{path.name}, tracked frame"):
                    times = frame_times(backend, scene, runs // BLOCKS)
                    network, around = np.array(times.network), np.array(times.around)
                    samples.setdefault((path.name, scene), []).extend(network + around)
                    shares.setdefault((path.name, scene), []).extend(100 * around / network)
                    regions[scene] = times.region
    yield from _time_figures(FRAMES, samples)
    for (name, scene), values in shares.items():
        share, noise = median_and_noise(values)
        yield Figure(FRAMES, name, f"{scene}, beside", share, "%", noise)


def _start_figures(models: Iterable[Path], problems: list[str]) -> Iterator[Figure]:
    samples: Samples = {}
    models = list(models)
    for _ in range(STARTS):
        for path in models:
            with _telling(problems, f"{path.name}, start"):
                for stage, seconds in start(path).items():
                    samples.setdefault((path.name, stage), []).append(seconds)
    for (name, stage), values in samples.items():
        median, noise = median_and_noise(values)
        yield Figure(START, name, stage, median, "s", noise)


def _memory_figures(models: Iterable[Path], problems: list[str]) -> Iterator[Figure]:
    for path in models:
        yield Figure(MEMORY, path.name, "file", path.stat().st_size / 1024, "KiB")
        with _telling(problems, f"{path.name}, memory"):
            imports, peaks = np.array([peak_memory(path) for _ in range(MEMORY_RUNS)]).T
            for column, values in (("peak memory", peaks), ("after imports", peaks - imports)):
                mean, noise = mean_and_noise(values)
                yield Figure(MEMORY, path.name, column, mean, "MiB", noise)


def _time_figures(table: str, samples: Samples) -> Iterator[Figure]:
    for (name, column), times in samples.items():
        median, noise = median_and_noise(times)
        yield Figure(table, name, column, median, "ms", noise)
        late, noise = percentile_and_noise(times, 95)
        yield Figure(f"{table}, 95th percentile", name, column, late, "ms", noise)


@contextmanager
def _telling(problems: list[str], what: str) -> Iterator[None]:
    """What cannot be measured is told, and the rest measured."""
    try:
        yield
    except (EdgeRuntimeError, OSError, ValueError) as error:
        problems.append(f"{what} left out: {error}")


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def summary(results: Results) -> str:
    """Medians of the networks and of a near face's whole frame, one line per file."""
    columns = {_threads(n): (f"latency, {_threads(n)}", "network") for n in results.settings["threads"]}
    columns["frame"] = (FRAMES, "near")
    values = {(figure.row, figure.table, figure.column): figure.value for figure in results.figures}
    names = list(results.settings["engines"])
    width = max(map(len, names))
    lines = [" ".join([" " * width, *(f"{column:>10}" for column in columns)])]
    for name in names:
        found = [values.get((name, *column)) for column in columns.values()]
        lines.append(" ".join([f"{name:{width}}", *(f"{'' if v is None else f'{v:.3f}':>10}" for v in found)]))
    return "\n".join([*lines, "median milliseconds of the network by threads, and of a tracked frame with a near face"])
