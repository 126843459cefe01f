"""How a tracker holds and shakes: on rendered faces, in scripted scenes, on the user's videos."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from benchmarks.inputs import VIDEO_SUFFIXES, files, tracking_files
from benchmarks.results import Curve, Figure, Results
from benchmarks.stability import failures, steadiness, videos
from benchmarks.stability.footage import FPS
from benchmarks.stability.scripts import SCRIPTS
from benchmarks.stability.tracks import SMOOTHING
from edge_runtime import FaceTracker
from edge_runtime.backends import Backend, default_model_path, load_backend
from edge_runtime.detector import NetworkDetector
from edge_runtime.landmarks import WFLW_98
from edge_runtime.spec import ModelSpec


@dataclass(frozen=True)
class StabilityConfig:
    """Options of `stability`."""

    models: Path = field(default=Path("dist"), metadata={"help": "folder of .tflite and .onnx files, or one file"})
    detector: Path | None = field(
        default=None, metadata={"help": "the face detector's file; none: dist/detector_fp32.*"}
    )
    assets: Path | None = field(
        default=None, metadata={"help": "folder of the 3D assets (docs/assets.md); none: the procedural head"}
    )
    cache: Path = field(default=Path("renders/cache"), metadata={"help": "where what the renderer prepares is kept"})
    people: int = field(default=4, metadata={"help": "rendered people; 0 leaves rendered sequences out"})
    frames: int = field(default=120, metadata={"help": "of each still and each moving sequence, 30 a second"})
    seed: int = field(default=2001, metadata={"help": "another one makes other people"})
    videos: Path | None = field(default=None, metadata={"help": "folder of videos, or one video, to track as well"})
    threads: int = field(default=1, metadata={"help": "threads of the inference engine"})
    out: Path = field(default=Path("dist/bench/stability.json"), metadata={"help": "where the results are written"})

    def __post_init__(self) -> None:
        if self.people < 0 or self.frames < 10 or self.threads < 1 or self.seed < 0:
            raise ValueError(
                "--people and --seed must be 0 or more, --frames 10, --threads 1, "
                f"got {self.people}, {self.seed}, {self.frames} and {self.threads}"
            )
        if self.people == 0 and self.videos is None:
            raise ValueError("nothing to track: give --people 1 or more, or --videos")


def stability(config: StabilityConfig) -> None:
    """Measure, write the results, print them."""
    paths = [path for path in tracking_files(config.models) if not ModelSpec.read(path).prompts]
    clips = files(config.videos, VIDEO_SUFFIXES, "name a folder with --videos") if config.videos else []
    detector = config.detector or default_model_path(name="detector_fp32")
    cv2.setNumThreads(config.threads)
    models = _Models(
        {path.name: load_backend(path, threads=config.threads) for path in paths},
        load_backend(detector, threads=config.threads),
    )
    figures, curves, notes = _rendered(config, models) if config.people else ([], [], [])
    for clip in clips:
        figures += videos.follow(clip, models.trackers(smoothing=0.0))
        _done(clip.name)
    settings = {
        "detector": detector.name,
        "head": "assets" if config.assets else "procedural",
        **{key: getattr(config, key) for key in ("people", "frames", "seed", "threads")},
        "frames a second": FPS,
        "smoothing": SMOOTHING,
        "videos": [clip.name for clip in clips],
    }
    told = [*notes, *([videos.NOTE] if clips else [])]
    results = Results("stability", figures, curves, notes=told, settings=settings)
    results.write(config.out)
    print(_listed(figures))
    print(f"written to {config.out}")


@dataclass(frozen=True)
class _Models:
    """What is compared, loaded once."""

    backends: Mapping[str, Backend]
    detector: Backend

    def trackers(self, max_faces: int = 1, smoothing: float = SMOOTHING) -> dict[str, FaceTracker]:
        """New ones, each with a detector of its own, since that has a memory."""
        return {
            name: FaceTracker(None, NetworkDetector(self.detector), max_faces, smoothing, backend=backend)
            for name, backend in self.backends.items()
        }


def _rendered(config: StabilityConfig, models: _Models) -> tuple[list[Figure], list[Curve], list[str]]:
    # Rendering belongs to the part of the project that trains, which a device does not have.
    from benchmarks.stability.motion import moving, open_renderer, still
    from benchmarks.stability.scenes import record

    for name, backend in models.backends.items():
        if backend.spec.scheme != WFLW_98.name:
            raise ValueError(
                f"{name} finds landmarks of {backend.spec.scheme}, rendered faces are labelled with {WFLW_98.name}: "
                "give --people 0 and --videos, or another file"
            )
    renderer = open_renderer(config.assets, config.cache, config.seed)
    people = range(config.people)
    recordings = {}
    for make in (still, moving):
        recordings[make] = [steadiness.follow(make(renderer, n, config.frames), models.backends) for n in people]
        _done(f"{make.__name__} faces")
    scores = {}
    for script in SCRIPTS:
        several = len(script.people)
        scores[script.name] = [failures.watch(record(renderer, script, n), models.trackers(several)) for n in people]
        _done(script.name)
    figures, curves = [], []
    for name in models.backends:
        calm, turning = ([each[name] for each in recordings[make]] for make in (still, moving))
        figures += steadiness.figures(name, calm, turning)
        figures += failures.figures(
            name, {scene: [each[name] for each in repeats] for scene, repeats in scores.items()}
        )
        curves.append(steadiness.curve(name, calm, turning))
    return figures, curves, [*steadiness.NOTES, *failures.NOTES]


def _done(what: str) -> None:
    print(f"{what}: done", file=sys.stderr)


def _listed(figures: Sequence[Figure]) -> str:
    """A line per table and row."""
    lines: dict[tuple[str, str], list[str]] = {}
    for figure in figures:
        value = "-" if figure.value is None else f"{figure.value:.3g}"
        noise = f" ± {figure.noise:.1g}" if figure.noise else ""
        unit = f" {figure.unit}" if figure.unit else ""
        lines.setdefault((figure.table, figure.row), []).append(f"{figure.column} {value}{noise}{unit}")
    return "\n".join(f"{table}, {row}: {', '.join(cells)}" for (table, row), cells in lines.items())
