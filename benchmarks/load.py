"""Load test: memory, open files, and threads over hours of a camera, many clients, and many openings.

Time is compressed: a simulated camera gives frames with the times of 30 per second as fast as they are taken, and a
simulated network follows them. `soak` measures a real network.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.inputs import check_minimum, out_option
from benchmarks.latency.processes import mebibytes
from benchmarks.results import Curve, Metric, Results
from edge_runtime import (
    ROI,
    CsvSink,
    FaceTracker,
    Frame,
    JsonLinesSink,
    OscSink,
    TrackerOptions,
    VmcSink,
    WebSocketSink,
    model_path,
    open_overlay_sink,
    open_source,
)
from edge_runtime.draw import draw_faces
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.flags import flag
from edge_runtime.models import landmark_models, network_files
from edge_runtime.output_paths import OutputFile
from edge_runtime.sinks.results import JsonStreamSink
from edge_runtime.spec import ModelSpec, read_spec

FPS = 30
PARTS = 10
"""Checkpoints of each run. Growth counts from the end of the first part."""
SETTLING_SECONDS = 10.0
"""Maximum time to wait for what the other side closed."""
_FILES = Path("/proc/self/fd")
_SIDE = 120
_PERIOD, _ABSENT = 20 * FPS, 2 * FPS
"""Frames from one entrance of the simulated face to the next, and the frames without it at the end."""


@dataclass(frozen=True)
class LoadConfig:
    """Options of `load`."""

    out: OutputFile = out_option("load")
    hours: float = flag(8.0, "time of the simulated camera, hours; a frame takes about a millisecond")
    clients: int = flag(1000, "WebSocket clients that come and go")
    openings: int = flag(1000, "times that a video, a tracker, and every sink are opened and closed")
    max_growth: float = flag(4.0, "allowed growth of memory over the last nine tenths of each part, MiB")

    def __post_init__(self) -> None:
        check_minimum(self, hours=0.001, clients=PARTS, openings=PARTS)


@dataclass(frozen=True)
class Checkpoint:
    """State of the process after a number of frames, clients, or openings."""

    count: int
    resident: float
    """Memory, MiB."""
    files: int
    """Open files and sockets."""
    threads: int


class SimulatedFace:
    """Camera, detector, and network that agree on a face, which sways, leaves, and returns."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.index = 0

    @property
    def _present(self) -> bool:
        return self.index % _PERIOD < _PERIOD - _ABSENT

    def frames(self, count: int) -> Iterator[Frame]:
        """Yield frames of 30 per second."""
        image = np.full((_SIDE, _SIDE, 3), 127, np.uint8)
        for self.index in range(count):
            yield Frame(image, self.index / FPS, self.index)

    def detect(self, frame: np.ndarray) -> list[ROI]:
        """See `Detector.detect`."""
        return [ROI(_SIDE / 2, _SIDE / 2, _SIDE / 2)] if self._present else []

    def run(self, crop: np.ndarray, query_points: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """See `Backend.run`."""
        shift = 0.004 * math.sin(self.index * math.tau / 90)
        return {
            "landmarks": (self.spec.mean_shape + shift).astype(np.float32),
            "uncertainty": np.full(len(self.spec.mean_shape), 0.01, np.float32),
            "pose": np.zeros(3, np.float32),
            "confidence": np.full(1, 0.95 if self._present else 0.0, np.float32),
            "expressions": np.full(len(EXPRESSIONS), 0.5, np.float32),
            "gaze": np.zeros((2, 2), np.float32),
        }


def run_camera(frames: int) -> Iterator[Checkpoint]:
    """Track the simulated face, and send it to every sink that keeps no files."""
    spec = read_spec(model_path(network_files().int8))
    assert isinstance(spec, ModelSpec)
    face = SimulatedFace(spec)
    tracker = FaceTracker(TrackerOptions(model=face, detector=face))
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(_receiver())
        address = receiver.getsockname()
        server = stack.enter_context(WebSocketSink(0))
        devnull = stack.enter_context(Path(os.devnull).open("w"))
        sinks = [server, JsonStreamSink(devnull), *map(stack.enter_context, (OscSink(*address), VmcSink(*address)))]
        stack.enter_context(_connected(server.port))
        due = _due(frames)
        for frame in face.frames(frames):
            faces = tracker.update(frame.image, frame.timestamp)
            for sink in sinks:
                sink.write(frame, faces)
            if frame.index + 1 in due:
                yield _checkpoint(frame.index + 1)
    if tracker.stats.lost_count < frames // _PERIOD:
        raise ValueError(f"the simulated face was lost {tracker.stats.lost_count} times in {frames} frames")


def run_clients(clients: int) -> Iterator[Checkpoint]:
    """Let clients connect, read a frame, and leave; every other one without saying so."""
    from websockets.sync.client import connect

    frame, due = Frame(np.zeros((4, 4, 3), np.uint8), 0.0, 0), _due(clients)
    with WebSocketSink(0) as server:
        server.write(frame, [])
        before = _open_files(), threading.active_count()
        for number in range(1, clients + 1):
            with connect(f"ws://127.0.0.1:{server.port}") as connection:
                connection.recv()
                if number % 2:
                    connection.socket.shutdown(socket.SHUT_RDWR)
            server.write(frame, [])
            if number in due:
                _settle(*before)
                yield _checkpoint(number)


def run_openings(openings: int) -> Iterator[Checkpoint]:
    """Open a video, a tracker with a shipped model, and every sink; track two frames; close all."""
    due, files = _due(openings), landmark_models()
    with tempfile.TemporaryDirectory() as name, _receiver() as receiver:
        folder, address = Path(name), receiver.getsockname()
        clip = _write_clip(folder / "clip.avi")
        for number in range(1, openings + 1):
            options = TrackerOptions(model=model_path(files[number % len(files)]))
            with FaceTracker(options) as tracker, open_source(clip) as source, contextlib.ExitStack() as stack:
                opened = (
                    JsonLinesSink(folder / "out.jsonl"),
                    CsvSink(folder / "out.csv"),
                    OscSink(*address),
                    VmcSink(*address),
                    WebSocketSink(0),
                )
                sinks = [stack.enter_context(sink) for sink in opened]
                overlay = stack.enter_context(open_overlay_sink(folder / "out.mp4", source.fps, source.length))
                for frame in source:
                    faces = tracker.update(frame.image, frame.timestamp)
                    for sink in sinks:
                        sink.write(frame, faces)
                    overlay.write(frame, draw_faces(frame.image, faces))
            if number in due:
                yield _checkpoint(number)


def _due(count: int) -> set[int]:
    return {round(count * part / PARTS) for part in range(1, PARTS + 1)}


def _receiver() -> socket.socket:
    """Return a UDP socket that nobody reads; the system drops what does not fit."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    return receiver


@contextlib.contextmanager
def _connected(port: int) -> Iterator[None]:
    """Read everything that the WebSocket server sends, in a thread."""
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{port}", compression=None) as connection:

        def read() -> None:
            for _ in connection:
                pass

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        yield
    reader.join()


def _write_clip(path: Path) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (160, 120))
    for value in (60, 120):
        writer.write(np.full((120, 160, 3), value, np.uint8))
    writer.release()
    return path


def _open_files() -> int:
    return len(os.listdir(_FILES))  # noqa: PTH208, one call opens one file


def _settle(files: int, threads: int) -> None:
    """Wait until there are no more open files and threads than these, or for `SETTLING_SECONDS`."""
    end = time.monotonic() + SETTLING_SECONDS
    while (_open_files() > files or threading.active_count() > threads) and time.monotonic() < end:
        time.sleep(0.01)


def _checkpoint(count: int) -> Checkpoint:
    gc.collect()
    return Checkpoint(count, mebibytes("VmRSS"), _open_files(), threading.active_count())


def load(config: LoadConfig) -> None:
    """Run all parts, print a line per checkpoint, and write the results. Raise ValueError when something grew."""
    mebibytes("VmRSS")  # fail before the run where there is no /proc
    parts: dict[str, tuple[Callable[[int], Iterator[Checkpoint]], int, float, str]] = {
        "camera": (run_camera, round(config.hours * 3600 * FPS), 3600 * FPS, "hour"),
        "clients": (run_clients, config.clients, 1000, "1000 clients"),
        "openings": (run_openings, config.openings, 1000, "1000 openings"),
    }
    metrics, curves, problems = [], [], []
    print(f"{'part':9} {'count':>8} {'MiB':>7} {'files':>6} {'threads':>8} {'ms each':>8}")
    for name, (run, count, unit, unit_name) in parts.items():
        points, began = [], time.perf_counter()
        for point in run(count):
            milliseconds = 1e3 * (time.perf_counter() - began) / point.count
            points.append(point)
            print(
                f"{name:9} {point.count:8} {point.resident:7.1f} {point.files:6} {point.threads:8} {milliseconds:8.2f}",
                flush=True,
            )
        metrics += part_metrics(name, points, unit, unit_name)
        curves.append(Curve("memory under load", name, "count", "MiB", *_columns(points)))
        problems += growth(name, points, config.max_growth)
    settings = {"hours": config.hours, "clients": config.clients, "openings": config.openings}
    Results("load", metrics, curves, settings=settings).write(config.out)
    print(f"written: {config.out}")
    if problems:
        raise ValueError("; ".join(problems))


def _columns(points: Sequence[Checkpoint]) -> tuple[list[float], list[float]]:
    return [point.count for point in points], [point.resident for point in points]


def slope(points: Sequence[Checkpoint], unit: float) -> float:
    """Return the growth of memory per `unit` counts, MiB, by least squares over all checkpoints but the first."""
    counts, memory = (np.array(column[1:]) for column in _columns(points))
    return float(np.polyfit(counts, memory, 1)[0] * unit)


def part_metrics(name: str, points: Sequence[Checkpoint], unit: float, unit_name: str) -> list[Metric]:
    """Return the metrics of one part."""
    first, last = points[0], points[-1]
    return [
        Metric("load", name, "memory", last.resident, "MiB"),
        Metric("load", name, "memory left behind", last.resident - first.resident, "MiB"),
        Metric("load", name, f"growth per {unit_name}", slope(points, unit), "MiB"),
        Metric("load", name, "files left open", last.files - first.files, ""),
        Metric("load", name, "threads left behind", last.threads - first.threads, ""),
    ]


def growth(name: str, points: Sequence[Checkpoint], allowed: float) -> list[str]:
    """Return what grew in a part since its first checkpoint, as texts."""
    first, last = points[0], points[-1]
    more = {what: getattr(last, what) - getattr(first, what) for what in ("files", "threads")}
    found = [f"{name}: {number} {what} were left after {first.count}" for what, number in more.items() if number > 0]
    if (memory := last.resident - first.resident) > allowed:
        found.append(f"{name}: memory grew by {memory:.1f} MiB after {first.count}, allowed {allowed}")
    return found
