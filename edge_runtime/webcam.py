"""Track faces in a camera, video, or images; show and save the results."""

from __future__ import annotations

import contextlib
import signal
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.backends import BackendName
from edge_runtime.calibration import Calibration
from edge_runtime.draw import draw_faces
from edge_runtime.errors import EdgeRuntimeError, require
from edge_runtime.face import TrackState
from edge_runtime.flags import flag, parse_flags
from edge_runtime.geometry import DEFAULT_FOV, Intrinsics
from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.preview import Preview
from edge_runtime.sinks import CsvSink, JsonLinesSink, Sink, open_overlay_sink
from edge_runtime.sources import LatestFrames, Source, list_cameras, open_source
from edge_runtime.streams import OscSink, VmcSink, WebSocketSink, parse_address
from edge_runtime.template import Template
from edge_runtime.tracker import FaceTracker
from edge_runtime.window import Window, check_display

INTERRUPTED = 130
"""Exit code after SIGINT or SIGTERM."""


@dataclass(frozen=True)
class WebcamConfig:
    """Flags of the command. ValueError names an invalid flag."""

    source: str = flag("0", "camera number, video, image, or folder of images", "input")
    sequence: bool = flag(False, "images of a folder as consecutive frames of a video", "input")
    max_frames: int | None = flag(None, "maximum number of frames (default: all)", "input")
    fov: float | None = flag(None, "field of view along the longer side, degrees (default: 60.0)", "input")
    intrinsics: Path | None = flag(None, "calibration file of OpenCV or plain JSON, instead of --fov", "input")
    list_cameras: bool = flag(False, "list of camera numbers and names, then exit", "input")
    model: Path | None = flag(None, ".tflite or .onnx file (default: the shipped model's export in dist/)", "model")
    template: Path | None = flag(None, "JSON file with custom points, for a model with query points", "model")
    backend: BackendName = flag("auto", "inference engine", "model")
    threads: int = flag(1, "number of threads of the inference engine", "model")
    faces: int = flag(1, "maximum number of tracked faces", "tracking")
    smoothing: float = flag(0.5, "smoothing of results, 0 (none) to 1 (less jitter, more lag)", "tracking")
    save: Path | None = flag(None, "overlay as .mp4 or .avi video, image, or folder of images (no suffix)", "output")
    jsonl: Path | None = flag(None, "file with a JSON object per frame and line", "output")
    csv: Path | None = flag(None, "file with a row per face and frame", "output")
    osc: str | None = flag(None, "HOST:PORT to send OSC to, over UDP", "output")
    vmc: str | None = flag(None, "HOST:PORT to send head and expression to, by VMC over UDP", "output")
    websocket: str | None = flag(None, "[HOST:]PORT of a WebSocket server of JSON objects", "output")
    headless: bool = flag(False, "no window", "output")
    mirror: bool = flag(False, "mirrored window; results and files are not mirrored", "output")

    def __post_init__(self) -> None:
        require(self.faces >= 1, f"--faces must be 1 or more, got {self.faces}")
        require(self.threads >= 1, f"--threads must be 1 or more, got {self.threads}")
        require(0 <= self.smoothing <= 1, f"--smoothing must lie in [0, 1], got {self.smoothing}")
        if self.fov is not None:
            require(0 < self.fov < 180, f"--fov must lie between 0 and 180 degrees, got {self.fov}")
            require(self.intrinsics is None, "--fov and --intrinsics exclude each other: give one of them")
        if self.max_frames is not None:
            require(self.max_frames >= 1, f"--max-frames must be 1 or more, got {self.max_frames}")
        for name in ("osc", "vmc", "websocket"):
            try:
                _address(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"--{name}: {error}") from error


@dataclass
class Summary:
    """Statistics of a run."""

    frames: int = 0
    frames_with_face: int = 0
    frames_tracked: int = 0
    dropped: int = 0
    """Frames of a camera skipped while the loop was busy."""
    first_face: int | None = None
    """Index of the first frame with a face."""
    loop_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    """Total time of each of the last frames."""

    def text(self, tracker: FaceTracker) -> str:
        """Return the statistics as lines of text."""
        if self.frames == 0:
            return "no frames"
        stats = tracker.stats
        percent = [100 * n / self.frames for n in (self.frames_with_face, self.frames_tracked)]
        first = "none" if self.first_face is None else str(self.first_face)
        fps = 1 / statistics.median(self.loop_seconds)
        runs = {"detect": stats.detector_runs, "crop": stats.network_runs, "network": stats.network_runs}
        stages = [f"{name} {1e3 * stats.seconds[name] / n:.2f} ms x {n}" for name, n in runs.items() if n]
        return (
            f"frames {self.frames}{f', {self.dropped} dropped' if self.dropped else ''}; first face in frame {first}; "
            f"with a face {percent[0]:.1f} %, tracked {percent[1]:.1f} %\n"
            f"detections {stats.detections}, lost {stats.lost_count}, detector runs {stats.detector_runs}\n"
            f"loop median {fps:.1f} fps; per run: {', '.join(stages) or 'none'}"
        )


class Progress:
    """Progress of a file, printed on a terminal twice a second."""

    def __init__(self, expected: int | None) -> None:
        self._expected = expected if sys.stderr.isatty() else None
        self._next = 0.0

    def show(self, done: int) -> None:
        """Print the number of frames done."""
        now = time.perf_counter()
        if self._expected is None or (now < self._next and done < self._expected):
            return
        self._next = now + 0.5
        end = "\n" if done >= self._expected else ""
        print(f"\r{done} of {self._expected} frames", end=end, file=sys.stderr, flush=True)


def run(config: WebcamConfig) -> int:
    """Run the command, print the summary, and return the exit code. EdgeRuntimeError or OSError if it fails."""
    if config.list_cameras:
        cameras = list_cameras()
        print("\n".join(f"{index}  {name}".rstrip() for index, name in cameras) or "no camera found")
        return 0
    if not config.headless:
        check_display()
    summary = Summary()
    intrinsics = _camera(config)
    # Before the camera is opened: the model may fail to load.
    tracker = FaceTracker(
        config.model,
        max_faces=config.faces,
        smoothing=config.smoothing,
        threads=config.threads,
        backend=config.backend,
        template=None if config.template is None else Template.read(config.template),
    )
    try:
        with contextlib.ExitStack() as stack:
            opened = open_source(config.source)
            source = stack.enter_context(LatestFrames(opened) if opened.live else opened)
            scheme = tracker.spec.landmark_scheme
            sinks = [stack.enter_context(sink) for sink in _open_sinks(config, source, scheme)]
            preview = None
            if not config.headless:
                window = stack.enter_context(Window("ATPN (h: keys)"))
                preview = Preview(window, tracker, scheme, config.mirror)
            _loop(config, source, tracker, intrinsics, sinks, preview, summary)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if summary.frames:
            print(summary.text(tracker))
    return 0


def _camera(config: WebcamConfig) -> Callable[[int, int], Intrinsics]:
    """Return a function from a frame's width and height to the intrinsics."""
    if config.intrinsics is not None:
        return Calibration.read(config.intrinsics).at
    fov = DEFAULT_FOV if config.fov is None else config.fov
    return lambda width, height: Intrinsics.from_fov(width, height, fov)


def _open_sinks(config: WebcamConfig, source: Source, scheme: LandmarkScheme | None) -> Iterator[Sink]:
    """Yield the sinks one by one, so that all are closed if one fails."""
    if config.save is not None:
        yield open_overlay_sink(config.save, source.fps, source.length)
    if config.jsonl is not None:
        yield JsonLinesSink(config.jsonl)
    if config.csv is not None:
        yield CsvSink(config.csv)
    if osc := _address(config.osc):
        yield OscSink(*osc)
    if vmc := _address(config.vmc):
        yield VmcSink(*vmc, scheme)
    if websocket := _address(config.websocket):
        yield WebSocketSink(websocket[1], websocket[0])


def _address(text: str | None) -> tuple[str, int] | None:
    return None if text is None else parse_address(text)


def _loop(
    config: WebcamConfig,
    source: Source,
    tracker: FaceTracker,
    intrinsics: Callable[[int, int], Intrinsics],
    sinks: Sequence[Sink],
    preview: Preview | None,
    summary: Summary,
) -> None:
    scheme = tracker.spec.landmark_scheme
    separate = source.stills and not config.sequence
    progress = Progress(source.expected)
    start = time.perf_counter()
    for frame in source:
        if separate:
            tracker.reset()
        height, width = frame.image.shape[:2]
        tracker.intrinsics = intrinsics(width, height)
        faces = tracker.update(frame.image, frame.timestamp)
        overlay = draw_faces(frame.image, faces, scheme, template=tracker.template) if config.save else frame.image
        for sink in sinks:
            sink.write(frame, faces, overlay)
        summary.frames += 1
        if faces:
            summary.frames_with_face += 1
            summary.first_face = frame.index if summary.first_face is None else summary.first_face
            summary.frames_tracked += any(face.state == TrackState.TRACKED for face in faces)
        summary.dropped = frame.index + 1 - summary.frames if source.live else 0
        now = time.perf_counter()
        summary.loop_seconds.append(now - start)
        progress.show(summary.frames)
        start = now
        if preview is not None and not preview.show(frame.image, faces, pause=separate):
            return
        if summary.frames == config.max_frames:
            return


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 1 for errors, 2 for invalid flags, 130 when interrupted."""
    config = parse_flags(WebcamConfig, "python -m edge_runtime.webcam", __doc__ or "", arguments)
    # As Ctrl-C, so that files are closed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run(config)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (EdgeRuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
