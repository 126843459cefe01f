"""`python -m benchmarks stability`: on rendered faces, in rendered scenes, and on the user's videos."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2

from benchmarks.inputs import check_minimum, models_option, out_option, tracking_files, video_files
from benchmarks.results import Curve, Metric, Results
from benchmarks.stability import failures, steadiness, videos
from benchmarks.stability.frames import FPS
from benchmarks.stability.scenarios import SCENARIOS
from benchmarks.stability.tracks import SMOOTHING
from benchmarks.tables import publish
from edge_runtime import FaceTracker, TrackerOptions
from edge_runtime.backends import Backend, default_model_path, load_backend
from edge_runtime.detector import NetworkDetector
from edge_runtime.flags import flag
from edge_runtime.landmarks import WFLW_98
from edge_runtime.output_paths import OutputFile
from edge_runtime.spec import ModelSpec


@dataclass(frozen=True)
class StabilityConfig:
    """Options of `stability`."""

    models: Path = models_option()
    detector: Path | None = flag(None, "the face detector's file (default: the shipped one)")
    assets: Path | None = flag(None, "folder of the 3D assets (docs/assets.md); default: procedural head")
    cache: Path = flag(Path("renders/cache"), "folder of the renderer's prepared files")
    people: int = flag(4, "number of rendered people; 0: no rendered sequences")
    frames: int = flag(120, "length of each still and each moving sequence, frames at 30 a second")
    seed: int = flag(2001, "seed of the rendered people")
    videos: Path | None = flag(None, "folder of videos, or one video, to track, too")
    threads: int = flag(1, "threads of the inference engine")
    out: OutputFile = out_option("stability")

    def __post_init__(self) -> None:
        check_minimum(self, people=0, frames=10, threads=1, seed=0)
        if self.people == 0 and self.videos is None:
            raise ValueError("nothing to track: give --people 1 or more, or --videos")


def stability(config: StabilityConfig) -> None:
    """Measure, write the results, and print them."""
    paths = [path for path in tracking_files(config.models) if not ModelSpec.read(path).prompts]
    clips = video_files(config.videos) if config.videos else []
    detector = config.detector or default_model_path(detector=True)
    cv2.setNumThreads(config.threads)
    models = _Models(
        {path.name: load_backend(path, threads=config.threads) for path in paths},
        load_backend(detector, threads=config.threads),
    )
    metrics, curves, notes = _rendered(config, models) if config.people else ([], [], [])
    for clip in clips:
        metrics += videos.evaluate_video(clip, models.trackers(smoothing=0.0))
        _print_done(clip.name)
    settings = {
        "detector": detector.name,
        "head": "assets" if config.assets else "procedural",
        **{key: getattr(config, key) for key in ("people", "frames", "seed", "threads")},
        "frames a second": FPS,
        "smoothing": SMOOTHING,
        "videos": [clip.name for clip in clips],
    }
    notes += [videos.NOTE] if clips else []
    publish(Results("stability", metrics, curves, notes=notes, settings=settings), config.out)


@dataclass(frozen=True)
class _Models:
    """The loaded files."""

    backends: Mapping[str, Backend]
    detector: Backend

    def trackers(self, max_faces: int = 1, smoothing: float = SMOOTHING) -> dict[str, FaceTracker]:
        """Return new trackers, each with a detector of its own, which has state."""
        return {
            name: FaceTracker(
                TrackerOptions(
                    detector=NetworkDetector(self.detector), max_faces=max_faces, smoothing=smoothing, model=backend
                )
            )
            for name, backend in self.backends.items()
        }


def _rendered(config: StabilityConfig, models: _Models) -> tuple[list[Metric], list[Curve], list[str]]:
    # Rendering needs the training dependencies, which a device does not have.
    from benchmarks.stability.motion import moving, open_renderer, still
    from benchmarks.stability.scenes import record

    for name, backend in models.backends.items():
        if backend.spec.scheme != WFLW_98.name:
            raise ValueError(
                f"{name} predicts landmarks of {backend.spec.scheme}, rendered faces are labeled with {WFLW_98.name}: "
                "give --people 0 and --videos, or another file"
            )
    renderer = open_renderer(config.assets, config.cache, config.seed)
    people = range(config.people)
    recordings = {}
    for make in (still, moving):
        sequences = (make(renderer, n, config.frames) for n in people)
        recordings[make] = [steadiness.track_sequence(sequence, models.backends) for sequence in sequences]
        _print_done(f"{make.__name__} faces")
    scores = {}
    for scenario in SCENARIOS:
        scenes = (record(renderer, scenario, n) for n in people)
        count = len(scenario.people)
        scores[scenario.name] = [failures.evaluate_scene(scene, models.trackers(count)) for scene in scenes]
        _print_done(scenario.name)
    metrics, curves = [], []
    for name in models.backends:
        calm, turning = ([each[name] for each in recordings[make]] for make in (still, moving))
        metrics += steadiness.compute_metrics(name, calm, turning)
        by_scene = {scene: [each[name] for each in repeats] for scene, repeats in scores.items()}
        metrics += failures.compute_metrics(name, by_scene)
        curves.append(steadiness.compute_curve(name, calm, turning))
    return metrics, curves, [*steadiness.NOTES, *failures.NOTES]


def _print_done(subject: str) -> None:
    print(f"{subject}: done", file=sys.stderr)
