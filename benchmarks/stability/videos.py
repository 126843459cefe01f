"""Stability on videos without labels, from the tracker's reports: a face that leaves counts as lost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.results import BLOCKS, Metric, mean_and_error, mean_metric
from benchmarks.stability.jitter import flicker, lag
from benchmarks.stability.tracks import SMOOTHING, gaps_between_faces, tracks_of
from edge_runtime import Face, FaceTracker
from edge_runtime.sources import open_source

NOTE = (
    "Videos have no labels: a face that leaves counts as lost, a false detection as tracked. Flicker estimates NMF for "
    "steady motion: a landmark's distance from the midpoint of its positions one frame before and after, scaled to "
    "equal NMF for errors that are independent from frame to frame. Lag: of smoothed landmarks behind unsmoothed ones."
)


def evaluate_video(video: Path, trackers: Mapping[str, FaceTracker]) -> list[Metric]:
    """Track one face at a time with trackers without smoothing; the errors are those of `open_source`."""
    observations: dict[str, list[tuple[float, Face | None]]] = {name: [] for name in trackers}
    with open_source(str(video)) as source:
        for frame in source:
            for name, tracker in trackers.items():
                faces = tracker.update(frame.image, frame.timestamp)
                observations[name].append((frame.timestamp, faces[0] if faces else None))
    return [m for name, tracker in trackers.items() for m in _metrics(video.name, name, observations[name], tracker)]


def _metrics(
    video: str, name: str, observations: list[tuple[float, Face | None]], tracker: FaceTracker
) -> list[Metric]:
    """Return the metrics of one file on one video."""
    table, faces, frames = f"video {video}", [face for _, face in observations if face is not None], len(observations)
    hours = (observations[-1][0] - observations[0][0]) * frames / max(frames - 1, 1) / 3600
    losses = tracker.stats.lost_count
    rate, rate_error = (losses / hours, max(losses, 1) ** 0.5 / hours) if hours else (math.nan, 0.0)
    tracks = tracks_of(observations)
    raw, smooth = ([track.smoothed(smoothing) for track in tracks] for smoothing in (0.0, SMOOTHING))
    return [
        Metric(table, name, "tracked", 100 * len(faces) / frames, "%", lower_is_better=False),
        Metric(table, name, "losses", losses, ""),
        Metric(table, name, "failures per hour", rate, "", rate_error),
        mean_metric(table, name, "gap between faces", gaps_between_faces(observations), "s"),
        Metric(table, name, "ids", len({face.id for face in faces}), ""),
        Metric(table, name, "detector runs", tracker.stats.detector_runs, ""),
        _flicker(table, name, "flicker unsmoothed", raw),
        _flicker(table, name, "flicker", smooth),
        Metric(table, name, "lag", lag(raw, smooth), "frames"),
    ]


def _flicker(table: str, name: str, column: str, tracks: list[np.ndarray]) -> Metric:
    """Return the flicker with the standard error of the mean over consecutive parts of each track."""
    pieces = zip(*(np.array_split(points, BLOCKS) for points in tracks), strict=True)
    values = [value for piece in pieces if not math.isnan(value := flicker(piece))]
    return Metric(table, name, column, flicker(tracks), "%", mean_and_error(values)[1])
