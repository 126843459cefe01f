"""`python -m benchmarks latency`: time of each stage and of whole frames, start, size, memory, and energy."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.inputs import check_minimum, model_files, models_option, out_option
from benchmarks.latency.energy import UNAVAILABLE, EnergyMeter
from benchmarks.latency.overhead import SCENES, frame_times
from benchmarks.latency.processes import peak_memory, start
from benchmarks.latency.stages import FACE_SIZE, FRAME_SIZE, stages
from benchmarks.machine import megahertz
from benchmarks.results import BLOCKS, Metric, Results, mean_metric, median_metric, percentile_and_error
from benchmarks.tables import publish
from benchmarks.timing import clock_for, time_in_turn
from edge_runtime.backends import Backend, load_backend
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.flags import flag
from edge_runtime.output_paths import OutputFile

STARTS, MEMORY_RUNS = 10, 3
"""New processes per file: enough for the standard error of a median; memory hardly differs."""
FRAMES, START, MEMORY = "tracked frame, 1 thread", "start of a new process", "size and memory"
ENERGY, CLOCK = "energy of one face's network", "processor clock"

Samples = dict[tuple[str, str], list[float]]
"""Milliseconds by file and column, in order of time."""


@dataclass(frozen=True)
class LatencyConfig:
    """Options of `latency`."""

    models: Path = models_option()
    out: OutputFile = out_option("latency")
    runs: int = flag(200, "timed runs of each stage; warm-up: 10%% of the runs")
    threads: tuple[int, ...] = flag((1, 2, 0), "numbers of threads of the inference engine; 0: all cores")

    def __post_init__(self) -> None:
        check_minimum(self, runs=BLOCKS)
        if min(self.threads) < 0:
            raise ValueError(f"--threads must be 0 or more, got {min(self.threads)}")

    @property
    def thread_counts(self) -> list[int]:
        """Each number of threads once, with 0 replaced by the number of cores."""
        return list(dict.fromkeys(threads or os.cpu_count() or 1 for threads in self.threads))


def latency(config: LatencyConfig) -> None:
    """Measure every file, write the results, and print the main tables. Raise ValueError if no file works."""
    results = measure(model_files(config.models), config)
    publish(results, config.out, lambda title: "percentile" not in title)


def measure(models: Sequence[Path], config: LatencyConfig) -> Results:
    """Measure files; what cannot be measured is noted. Raise ValueError if that is everything."""
    problems: list[str] = []
    metrics: list[Metric] = []
    loaded: dict[Path, Backend] = {}
    roi_sizes: dict[str, float] = {}
    meter = EnergyMeter.find()
    for threads in config.thread_counts:
        loaded = _load(models, threads, problems)
        if not loaded:
            raise ValueError("\n  ".join(["no file can be measured:", *problems]))
        metrics += _stage_metrics(loaded, threads, config.runs, meter)
    trackers = {path: backend for path, backend in loaded.items() if "pose" in backend.spec.outputs}
    metrics += _frame_metrics(_load(trackers, 1, problems), config.runs, roi_sizes, problems)
    metrics += _start_metrics(trackers, problems)
    metrics += _memory_metrics(loaded, problems)
    metrics.sort(key=lambda metric: metric.table in (ENERGY, CLOCK))  # these last
    for problem in dict.fromkeys(problems):
        print(f"warning: {problem}", file=sys.stderr)
    return Results(
        "latency",
        metrics,
        stacked=[f"latency, {_threads(threads)}" for threads in config.thread_counts],
        notes=[*_notes(roi_sizes), *([] if meter else [UNAVAILABLE]), *dict.fromkeys(problems)],
        settings={
            "runs": config.runs,
            "threads": config.thread_counts,
            "frame": FRAME_SIZE,
            "region": FACE_SIZE,
            "engines": {path.name: type(backend).__name__ for path, backend in loaded.items()},
        },
    )


def _notes(roi_sizes: dict[str, float]) -> list[str]:
    sizes = ", ".join(f"{scene} {size:.0f} px" for scene, size in roi_sizes.items())
    return [
        "Milliseconds per call, batch 1: medians, and 95th percentiles in separate tables. One thread: processor time "
        "of that thread, which other load does not change; more threads: wall time. Files take turns in "
        f"{BLOCKS} rounds, and stages within a file, so that each finds the caches as the others leave them.",
        f"Stages: for a face whose ROI is {FACE_SIZE:.0f} px wide in a frame of {FRAME_SIZE[0]} x {FRAME_SIZE[1]}.",
        f"Tracked frame: the tracker's whole update on rendered faces ({sizes or 'none tracked'}); three: three faces "
        "side by side; overhead: everything but the network, % of the network's own time.",
        "Start: from the request of a process to its first face and its end, files cached by the system; the rest of "
        "the whole is the interpreter. Memory: peak of a process, and the part after importing numpy, OpenCV, and the "
        "engine.",
    ]


def _load(models: Iterable[Path], threads: int, problems: list[str]) -> dict[Path, Backend]:
    loaded = {}
    for path in models:
        with _collect_errors(problems, path.name):
            loaded[path] = load_backend(path, threads=threads)
            stages(loaded[path])
    return loaded


def _stage_metrics(loaded: dict[Path, Backend], threads: int, runs: int, meter: EnergyMeter | None) -> Iterator[Metric]:
    """Yield the time of stages, their energy, and the processor's clock meanwhile."""
    cv2.setNumThreads(threads)
    samples: Samples = {}
    energy: dict[str, list[float]] = {}
    clocks = [megahertz()]
    calls = {path.name: stages(backend) for path, backend in loaded.items()}
    runs_per_block = runs // BLOCKS
    for _ in range(BLOCKS):
        for name, each in calls.items():
            times = time_in_turn(each, runs_per_block, max(1, runs_per_block // 10), clock_for(threads))
            for stage, values in times.items():
                samples.setdefault((name, stage), []).extend(values)
            if meter is not None:
                before = meter.read()
                for _ in range(runs_per_block):
                    each["network"]()
                energy.setdefault(name, []).append(meter.since(before) / runs_per_block)
        clocks.append(megahertz())
    title = _threads(threads)
    yield from _time_metrics(f"latency, {title}", samples)
    for name, values in energy.items():
        yield mean_metric(ENERGY, name, title, values, "mJ")
    if known := [clock["now"] for clock in clocks if "now" in clock]:
        for column, value in (("first", known[0]), ("lowest", min(known)), ("last", known[-1])):
            yield Metric(CLOCK, title, column, float(round(value)), "MHz", lower_is_better=None)


def _frame_metrics(
    loaded: dict[Path, Backend], runs: int, roi_sizes: dict[str, float], problems: list[str]
) -> Iterator[Metric]:
    """Yield the time of whole tracked frames, and set the ROI size of each scene."""
    cv2.setNumThreads(1)
    samples: Samples = {}
    overheads: Samples = {}
    for _ in range(BLOCKS):
        for path, backend in loaded.items():
            for scene in SCENES:
                with _collect_errors(problems, f"{path.name}, tracked frame"):
                    times = frame_times(backend, scene, runs // BLOCKS)
                    network, overhead = np.array(times.network), np.array(times.overhead)
                    samples.setdefault((path.name, scene), []).extend(network + overhead)
                    overheads.setdefault((path.name, scene), []).extend(100 * overhead / network)
                    roi_sizes[scene] = times.roi_size
    yield from _time_metrics(FRAMES, samples)
    for (name, scene), values in overheads.items():
        yield median_metric(FRAMES, name, f"{scene}, overhead", values, "%")


def _start_metrics(models: Iterable[Path], problems: list[str]) -> Iterator[Metric]:
    samples: Samples = {}
    models = list(models)
    for _ in range(STARTS):
        for path in models:
            with _collect_errors(problems, f"{path.name}, start"):
                for stage, seconds in start(path).items():
                    samples.setdefault((path.name, stage), []).append(seconds)
    for (name, stage), values in samples.items():
        yield median_metric(START, name, stage, values, "s")


def _memory_metrics(models: Iterable[Path], problems: list[str]) -> Iterator[Metric]:
    for path in models:
        yield Metric(MEMORY, path.name, "file", path.stat().st_size / 1024, "KiB")
        with _collect_errors(problems, f"{path.name}, memory"):
            imports, peaks = np.array([peak_memory(path) for _ in range(MEMORY_RUNS)]).T
            yield mean_metric(MEMORY, path.name, "peak memory", peaks, "MiB")
            yield mean_metric(MEMORY, path.name, "after imports", peaks - imports, "MiB")


def _time_metrics(table: str, samples: Samples) -> Iterator[Metric]:
    for (name, column), times in samples.items():
        yield median_metric(table, name, column, times)
        late, error = percentile_and_error(times, 95)
        yield Metric(f"{table}, 95th percentile", name, column, late, "ms", error)


@contextmanager
def _collect_errors(problems: list[str], subject: str) -> Iterator[None]:
    """Append an error to `problems` and continue."""
    try:
        yield
    except (EdgeRuntimeError, OSError, ValueError) as error:
        problems.append(f"{subject} left out: {error}")


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
