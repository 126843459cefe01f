"""Videos with faces, but without labels: how soon tracks begin, and how certain they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.inputs import VIDEO_SUFFIXES, find_files
from benchmarks.results import Metric, mean_metric
from edge_runtime import FaceTracker
from edge_runtime.sources import open_source

MAX_FACES = 8
"""Maximum number of faces tracked in a video."""


def clip_files(path: Path) -> list[Path]:
    """Return videos and animated GIFs: one file, or those in a folder. Raise FileNotFoundError for none."""
    return find_files(path, (*VIDEO_SUFFIXES, ".gif"), "give a folder of videos with --videos")


def evaluate_clip(clip: Path, trackers: Mapping[str, FaceTracker]) -> Iterator[Metric]:
    """Track the faces of a clip with new trackers; the errors are those of `open_source`."""
    begins: dict[str, dict[int, int]] = defaultdict(dict)
    sigmas: dict[str, list[float]] = defaultdict(list)
    occupied: dict[str, int] = defaultdict(int)
    frames = 0
    with open_source(str(clip)) as source:
        for frame in source:
            for name, tracker in trackers.items():
                faces = tracker.update(frame.image, frame.timestamp)
                occupied[name] += bool(faces)
                for face in faces:
                    begins[name].setdefault(face.id, frames)
                    sigmas[name].append(100 * float(face.uncertainty.mean()) / face.roi.size)
            frames += 1
    table = f"video {clip.name}"
    for name in trackers:
        first = sorted(begins[name].values())
        yield Metric(table, name, "tracks", len(first), "", lower_is_better=None)
        yield Metric(table, name, "frames until the first face", first[0] if first else None, "frames")
        yield mean_metric(table, name, "frames until a track's first face", first, "frames", None)
        yield Metric(table, name, "frames with a face", 100 * occupied[name] / frames, "%", lower_is_better=None)
        # Consecutive frames are not independent, so there is no standard error.
        mean = sum(sigmas[name]) / len(sigmas[name]) if sigmas[name] else None
        yield Metric(table, name, "mean uncertainty, of the crop", mean, "%", lower_is_better=None)
