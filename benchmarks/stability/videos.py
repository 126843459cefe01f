"""What a tracker's own reports on a video tell, where nobody knows the truth: a face that leaves counts as lost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.results import BLOCKS, Figure, mean_and_noise
from benchmarks.stability.jitter import flicker, lag
from benchmarks.stability.means import mean_figure
from benchmarks.stability.tracks import SMOOTHING, found_again, tracks_of
from edge_runtime import Face, FaceTracker
from edge_runtime.sources import open_source

NOTE = (
    "Videos have no labels: a face that leaves counts as lost, one that was never there as held. Flicker estimates NMF "
    "where motion is steady: a landmark's distance from the middle of its places one frame before and after, scaled to "
    "equal NMF for errors that are independent from frame to frame. Lag: of smoothed landmarks behind unsmoothed ones."
)


def follow(video: Path, trackers: Mapping[str, FaceTracker]) -> list[Figure]:
    """One face at a time, by trackers without smoothing; the errors are those of `open_source`."""
    seen: dict[str, list[tuple[float, Face | None]]] = {name: [] for name in trackers}
    with open_source(str(video)) as source:
        for frame in source:
            for name, tracker in trackers.items():
                faces = tracker.update(frame.image, frame.timestamp)
                seen[name].append((frame.timestamp, faces[0] if faces else None))
    return [figure for name, tracker in trackers.items() for figure in figures(video.name, name, seen[name], tracker)]


def figures(video: str, name: str, seen: list[tuple[float, Face | None]], tracker: FaceTracker) -> list[Figure]:
    """Of one file on one video."""
    table, faces = f"video {video}", [face for _, face in seen if face is not None]
    hours = (seen[-1][0] - seen[0][0]) * len(seen) / max(len(seen) - 1, 1) / 3600
    losses = tracker.stats.lost_count
    rate, rate_noise = (losses / hours, max(losses, 1) ** 0.5 / hours) if hours else (math.nan, 0.0)
    tracks = tracks_of(seen)
    raw, smooth = ([track.smoothed(knob) for track in tracks] for knob in (0.0, SMOOTHING))
    return [
        Figure(table, name, "held", 100 * len(faces) / len(seen), "%", better="more"),
        Figure(table, name, "losses", losses, ""),
        Figure(table, name, "failures per hour", rate, "", rate_noise),
        mean_figure(table, name, "gap between faces", found_again(seen), "s"),
        Figure(table, name, "ids", len({face.id for face in faces}), ""),
        Figure(table, name, "detector runs", tracker.stats.detector_runs, ""),
        _flicker(table, name, "flicker unsmoothed", raw),
        _flicker(table, name, "flicker", smooth),
        Figure(table, name, "lag", lag(raw, smooth), "frames"),
    ]


def _flicker(table: str, name: str, column: str, tracks: list[np.ndarray]) -> Figure:
    """Its noise is that of the mean over consecutive parts of each track."""
    pieces = zip(*(np.array_split(points, BLOCKS) for points in tracks), strict=True)
    values = [value for piece in pieces if not math.isnan(value := flicker(piece))]
    return Figure(table, name, column, flicker(tracks), "%", mean_and_noise(values)[1])
