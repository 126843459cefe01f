"""Track faces in a camera, video, or images; show and save the results."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import edge_runtime
from edge_runtime import models
from edge_runtime.backends import EngineName
from edge_runtime.calibration import Calibration
from edge_runtime.detector import DETECTOR_NAMES
from edge_runtime.draw import draw_faces
from edge_runtime.errors import EdgeRuntimeError, ModelFileError, SourceError, require
from edge_runtime.face import Face, TrackState
from edge_runtime.files import check_outputs
from edge_runtime.flags import flag, parse_flags
from edge_runtime.geometry import DEFAULT_FOV, FieldOfView, check_field_of_view
from edge_runtime.options import TrackerOptions
from edge_runtime.preview import Preview
from edge_runtime.signals import StopSignals, interrupt_once
from edge_runtime.sinks.access import AccessRule
from edge_runtime.sinks.address import parse_address
from edge_runtime.sinks.overlays import OverlaySink, open_overlay_sink
from edge_runtime.sinks.results import CsvSink, JsonLinesSink, JsonStreamSink, Sink
from edge_runtime.sinks.streams import FacialMocapSink, OscSink, VmcSink
from edge_runtime.sinks.websocket import WebSocketSink
from edge_runtime.sources import list_cameras, open_source
from edge_runtime.sources.images import is_image, shorten
from edge_runtime.sources.source import CameraRequest, Frame, Source
from edge_runtime.template import Template
from edge_runtime.tracker import FaceTracker
from edge_runtime.window import Window, check_display

PROGRAM = "atpn-webcam"
"""Name of the command; `python -m edge_runtime.webcam` is the same."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, SIGTERM, or SIGHUP."""
STANDARD_OUTPUT = Path("-")
"""Value of `--jsonl` that writes to standard output."""
_LOCAL_FILE = re.compile(r"(?:file://|location=)\"?([^\s\"]+)")
"""The file of this machine that a URL or a GStreamer pipeline reads."""


@dataclass(frozen=True)
class WebcamConfig:
    """Flags of the command. ValueError names an invalid flag."""

    source: str = flag(
        "0",
        "camera number, /dev/video0, picamera2:0, rtsp:// or http:// URL, GStreamer pipeline, video, image, or folder "
        "of images; an existing path comes first",
        "input",
    )
    width: int | None = flag(None, "width requested of a camera, pixels; needs --height", "input")
    height: int | None = flag(None, "height requested of a camera, pixels; needs --width", "input")
    fps: float | None = flag(None, "frame rate requested of a camera, frames per second", "input")
    sequence: bool = flag(False, "images of a folder as consecutive frames of a video", "input")
    max_frames: int | None = flag(None, "maximum number of frames (default: all)", "input")
    fov: float | None = flag(None, f"field of view along the longer side, degrees (default: {DEFAULT_FOV})", "input")
    intrinsics: Path | None = flag(None, "calibration file of OpenCV or plain JSON, instead of --fov", "input")
    list_cameras: bool = flag(False, "list of camera numbers and names, then exit", "input")
    version: bool = flag(False, "version, then exit")
    model: Path | None = flag(
        None,
        f".tflite or .onnx file, or the name of a shipped network: {', '.join(models.NETWORKS)} (default: what the "
        "doctor measured, else atpn)",
        "model",
    )
    template: Path | None = flag(None, "JSON file with custom points, for a model with query points", "model")
    engine: EngineName = flag("auto", "inference engine", "model")
    threads: int | None = flag(
        None, "threads of the inference engine (default: what the doctor measured, else 1)", "model"
    )
    detector: str | None = flag(None, f"face detector: {DETECTOR_NAMES} (default: ours)", "tracking")
    faces: int | None = flag(None, "maximum number of faces (default: 1 in a stream, all in a picture)", "tracking")
    calibrate_neutral: bool = flag(
        False, "subtract the expressions of a stream's first second with a face, when it should be at rest", "tracking"
    )
    smoothing: float = flag(0.5, "smoothing of results, 0 (none) to 1 (less jitter, more lag)", "tracking")
    save: Path | None = flag(None, "overlay as .mp4 or .avi video, image, or folder of images (no suffix)", "output")
    jsonl: Path | None = flag(None, "file with a JSON object per frame and line; -: standard output", "output")
    csv: Path | None = flag(None, "file with a row per face and frame", "output")
    osc: str | None = flag(None, "HOST:PORT to send OSC to, over UDP", "output")
    vmc: str | None = flag(None, "HOST:PORT to send head and expression to, by VMC over UDP", "output")
    vmc_shapes: Literal["basic", "perfect-sync"] = flag(
        "basic", "blend shapes sent by VMC: blinks and mouth, or the 52 of characters made for perfect sync", "output"
    )
    vmc_hold: bool = flag(
        False,
        "without a face, keep the last pose and expression sent by VMC or iFacialMocap, not neutral ones",
        "output",
    )
    ifacialmocap: str | None = flag(
        None,
        "HOST:PORT to send expressions, head, and eyes to, as iFacialMocap does; usual port 49983",
        "output",
    )
    websocket: str | None = flag(None, "[HOST:]PORT of a WebSocket server of JSON objects", "output")
    websocket_origin: tuple[str, ...] = flag(
        (), "other web pages that may read the WebSocket, as https://example.org; null: pages opened as files", "output"
    )
    headless: bool = flag(False, "no window", "output")
    show: tuple[Literal["expressions"], ...] = flag((), "what else overlays show: expressions as bars", "output")
    mirror: bool = flag(False, "mirrored window; results and files are not mirrored", "output")

    def __post_init__(self) -> None:
        require(self.faces is None or self.faces >= 1, f"--faces must be 1 or more, got {self.faces}")
        require(self.threads is None or self.threads >= 1, f"--threads must be 1 or more, got {self.threads}")
        require(0 <= self.smoothing <= 1, f"--smoothing must lie in [0, 1], got {self.smoothing}")
        try:
            CameraRequest(self.width, self.height, self.fps)
        except ValueError as error:
            raise ValueError(f"--{error}") from error
        if self.fov is not None:
            check_field_of_view(self.fov, "--fov")
            require(self.intrinsics is None, "--fov and --intrinsics exclude each other: give one of them")
        if self.max_frames is not None:
            require(self.max_frames >= 1, f"--max-frames must be 1 or more, got {self.max_frames}")
        for name in ("save", "csv"):
            wrong = getattr(self, name) == STANDARD_OUTPUT
            require(not wrong, f"--{name} - is no file; give a name: only --jsonl writes to standard output")
        for name in ("osc", "vmc", "ifacialmocap", "websocket"):
            try:
                _address(getattr(self, name))
            except ValueError as error:
                raise ValueError(f"--{name}: {error}") from error
        require(self.vmc or self.vmc_shapes == "basic", "--vmc-shapes needs --vmc")
        require(not self.vmc_hold or self.vmc or self.ifacialmocap, "--vmc-hold needs --vmc or --ifacialmocap")
        require(not self.websocket_origin or self.websocket, "--websocket-origin needs --websocket")
        try:
            AccessRule(origins=self.websocket_origin)
        except ValueError as error:
            raise ValueError(f"--websocket-origin: {error}") from error


@dataclass
class Summary:
    """Statistics of a run."""

    frames: int = 0
    frames_with_face: int = 0
    frames_tracked: int = 0
    dropped: int = 0
    """Frames of a camera skipped while the loop was busy."""
    skipped: Sequence[str] = ()
    """Files of a folder that gave no frame."""
    incomplete: str | None = None
    """What could not be read, of a damaged or cut source."""
    first_face: int | None = None
    """Index of the first frame with a face."""
    loop_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    """Total time of each of the last frames."""

    def add(self, frame: Frame, faces: Sequence[Face], seconds: float) -> None:
        """Count a frame that took this time."""
        self.loop_seconds.append(seconds)
        self.frames += 1
        self.dropped += frame.dropped or 0
        if faces:
            self.first_face = frame.index if self.first_face is None else self.first_face
            self.frames_tracked += any(face.state == TrackState.TRACKED for face in faces)
            self.frames_with_face += 1

    def text(self, tracker: FaceTracker) -> str:
        """Return the statistics as lines of text."""
        if self.frames == 0:
            return "no frames"
        stats = tracker.stats
        if not self.frames_with_face:
            return (
                f"frames {self.frames}, none with a face; detector runs {stats.detector_runs}\n"
                "very small faces are not found: raise the camera's resolution, move closer, or try another --detector"
            )
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
            + (f"\nskipped {len(self.skipped)}: {shorten(self.skipped)}" if self.skipped else "")
        )


class Progress:
    """Progress of a file, printed on a terminal twice a second."""

    def __init__(self, expected: int | None) -> None:
        self._expected = expected if sys.stderr.isatty() else None
        self._next = 0.0
        self._line_open = False

    def show(self, done: int) -> None:
        """Print the number of frames done."""
        now = time.perf_counter()
        if self._expected is None or (now < self._next and done < self._expected):
            return
        self._next = now + 0.5
        self._line_open = True
        print(f"\r{done} of {self._expected} frames", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self._line_open:
            print(file=sys.stderr)


def run(config: WebcamConfig) -> int:
    """Run the command, print the summary, and return the exit code. EdgeRuntimeError or OSError if it fails."""
    if config.version:
        print(f"{PROGRAM} {edge_runtime.__version__}")
        return 0
    if config.list_cameras:
        cameras = list_cameras()
        print("\n".join(f"{index}  {name}".rstrip() for index, name in cameras) or "no camera found")
        return 0
    if not config.headless:
        check_display()
    _check_outputs(config)
    summary = Summary()
    # Before the camera is opened: the model may fail to load.
    tracker = FaceTracker(
        TrackerOptions(
            model=config.model,
            engine=config.engine,
            threads=config.threads,
            detector=config.detector,
            template=None if config.template is None else Template.read(config.template),
            camera=FieldOfView(config.fov or DEFAULT_FOV)
            if config.intrinsics is None
            else Calibration.read(config.intrinsics),
            max_faces=config.faces or 1,
            smoothing=config.smoothing,
        )
    )
    _check_expressions(config, tracker)
    try:
        with contextlib.ExitStack() as stack:
            source = open_source(config.source, width=config.width, height=config.height, fps=config.fps)
            # Before this, the default handlers end the process at once, even while a camera does not answer.
            signals = stack.enter_context(interrupt_once())
            stack.enter_context(source)
            try:
                sinks = [stack.enter_context(sink) for sink in _open_network_sinks(config)]
                overlays = None
                with signals.hold():  # each file that is made is closed
                    sinks += [stack.enter_context(sink) for sink in _open_file_sinks(config, tracker)]
                    if config.save is not None:
                        overlays = stack.enter_context(open_overlay_sink(config.save, source.fps, source.length))
                for sink in sinks:
                    sink.open()
                preview = None
                if not config.headless:
                    window = stack.enter_context(Window("ATPN (h: keys)"))
                    preview = Preview(window, tracker, config.mirror, "expressions" in config.show)
                progress = stack.enter_context(contextlib.closing(Progress(source.expected)))
                _loop(config, source, tracker, sinks, overlays, preview, progress, signals, summary)
            finally:
                signals.ignore()  # while the files are closed
                summary.skipped, summary.incomplete = source.skipped, source.incomplete
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if summary.frames:
            print(summary.text(tracker), file=sys.stderr if config.jsonl == STANDARD_OUTPUT else sys.stdout)
    if tracker.calibrating:
        print("warning: no second of a face was seen, so that expressions are not calibrated", file=sys.stderr)
    if summary.incomplete is None:
        return 0
    print(f"error: {summary.incomplete}; the results of what was read are kept", file=sys.stderr)
    return 1


def _check_expressions(config: WebcamConfig, tracker: FaceTracker) -> None:
    """Raise ModelFileError if a flag needs expressions and the model gives none."""
    asked = {
        "--calibrate-neutral": config.calibrate_neutral,
        "--show expressions": "expressions" in config.show,
        "--vmc-shapes perfect-sync": config.vmc_shapes == "perfect-sync",
        "--ifacialmocap": config.ifacialmocap,
    }
    flags = [name for name, given in asked.items() if given]
    if flags and not tracker.spec.has_expressions:
        raise ModelFileError(
            f"model {tracker.spec.name!r} gives no expressions, which {', '.join(flags)} needs: "
            "use one exported with `--heads all`"
        )


def _check_outputs(config: WebcamConfig) -> None:
    """Raise SinkError if an output is an input, an image of a folder of them, or another output."""
    source = Path(config.source)
    inputs: dict[str, Path | None] = {"--source": source, "--template": config.template}
    if str(config.model) not in models.NETWORKS:
        inputs["--model"] = config.model
    inputs |= {"--intrinsics": config.intrinsics, "--detector": _detector_file(config.detector)}
    inputs |= {f"the shipped {path.name}": path for path in models.FOLDER.glob("*.tflite")}
    if local := _LOCAL_FILE.search(config.source):
        inputs["--source's file"] = Path(local[1])
    jsonl = None if config.jsonl == STANDARD_OUTPUT else config.jsonl
    check_outputs({"--save": config.save, "--jsonl": jsonl, "--csv": config.csv}, inputs, is_image)
    if config.save is not None and config.save.is_dir() and os.path.isfile(source):  # noqa: PTH113, Path's raises for long names
        # Overlays among sources would pass as sources.
        check_outputs({"--save": config.save}, {"the folder of --source": source.parent})


def _detector_file(name: str | None) -> Path | None:
    """Return the file of a detector such as yunet:FILE."""
    path = (name or "").partition(":")[2]
    return Path(path) if path else None


def _open_file_sinks(config: WebcamConfig, tracker: FaceTracker) -> Iterator[Sink]:
    """Yield the sinks of results one by one, so that all are closed if one fails."""
    if config.jsonl == STANDARD_OUTPUT:
        yield JsonStreamSink(sys.stdout)
    elif config.jsonl is not None:
        yield JsonLinesSink(config.jsonl)
    if config.csv is not None:
        points = 0 if tracker.template is None else len(tracker.template.points)
        yield CsvSink(config.csv, len(tracker.spec.mean_shape), points, tracker.spec.has_expressions)


def _open_network_sinks(config: WebcamConfig) -> Iterator[Sink]:
    if osc := _address(config.osc):
        yield OscSink(*osc)
    if vmc := _address(config.vmc):
        yield VmcSink(*vmc, config.vmc_hold, config.vmc_shapes == "perfect-sync")
    if facial_mocap := _address(config.ifacialmocap):
        yield FacialMocapSink(*facial_mocap, config.vmc_hold)
    if websocket := _address(config.websocket):
        yield WebSocketSink(websocket[1], websocket[0], config.websocket_origin)


def _address(text: str | None) -> tuple[str, int] | None:
    return None if text is None else parse_address(text)


def _loop(
    config: WebcamConfig,
    source: Source,
    tracker: FaceTracker,
    sinks: Sequence[Sink],
    overlays: OverlaySink | None,
    preview: Preview | None,
    progress: Progress,
    signals: StopSignals,
    summary: Summary,
) -> None:
    separate = source.stills and not config.sequence
    if config.calibrate_neutral:
        if separate:
            raise SourceError(
                "--calibrate-neutral needs a stream: give a video or a camera, or --sequence for a folder"
            )
        tracker.calibrate_neutral()
    start = time.perf_counter()
    for frame in source:
        faces = (
            tracker.detect(frame.image)[: config.faces] if separate else tracker.update(frame.image, frame.timestamp)
        )
        overlay = None
        if overlays is not None:
            overlay = draw_faces(frame.image, faces, expressions="expressions" in config.show)
        with signals.hold(at_most_one=True):  # a frame is in all files or in none; a pipe's reader may be late
            for sink in sinks:
                sink.write(frame, faces)
            if overlays is not None and overlay is not None:
                overlays.write(frame, overlay)
            now = time.perf_counter()
            summary.add(frame, faces, now - start)
        start = now
        progress.show(frame.index + 1)
        if preview is not None and not preview.show(frame.image, faces, separate, overlay):
            return
        if summary.frames == config.max_frames:
            return


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 1 for errors, 2 for invalid flags, 130 when interrupted."""
    try:
        return run(parse_flags(WebcamConfig, PROGRAM, __doc__ or "", arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (EdgeRuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
