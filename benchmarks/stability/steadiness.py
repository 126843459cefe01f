"""Flicker, lag, and error of tracked faces on rendered, labeled sequences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.results import Curve, Metric, mean_and_error, mean_metric
from benchmarks.stability.frames import FPS, LabeledFrame
from benchmarks.stability.jitter import MAX_LAG, delayed, error, lag, nmf
from benchmarks.stability.tracks import SMOOTHING, Track, tracks_of
from edge_runtime import Face, FaceTracker, TrackerOptions
from edge_runtime.backends import Backend
from edge_runtime.geometry import ROI

SMOOTHINGS = (0.0, 0.1, 0.25, 0.5, 1.0)
STILL, MOVING = "still faces", "moving faces"
NOTES = (
    "NMF, normalized mean flicker: root mean square over frames and landmarks of the change of a landmark's error "
    "since the last frame, in % of the face's size, which is the square root of the area of the labels' rectangle "
    "(Micaelli et al., CVPR 2023; their values are 256 times these).",
    "Lag: delay of the labels, in frames, that minimizes the variance of the landmarks' errors. Error by lag: between "
    "the labels and the delayed labels. Jitter: NMF against the delayed labels. Error: root mean square distance from "
    "the labels. All but the lag are in % of the face's size, with the default smoothing unless unsmoothed.",
    f"Curves over the smoothing have points at {', '.join(f'{smoothing:g}' for smoothing in SMOOTHINGS)}.",
)


@dataclass(frozen=True)
class Recording:
    """Tracks of one file on one rendered sequence, unsmoothed."""

    tracked: float
    """Fraction of tracked frames."""
    tracks: list[Track]
    labels: list[np.ndarray]
    """(T, N, 2) of each track."""

    def smoothed(self, smoothing: float) -> list[np.ndarray]:
        """Return (T, N, 2) of each track."""
        return [track.smoothed(smoothing) for track in self.tracks]

    def nmf(self, smoothing: float) -> float:
        """Return `jitter.nmf` at this smoothing."""
        return nmf(self.smoothed(smoothing), self.labels)

    def lag(self, smoothing: float) -> float:
        """Return `jitter.lag` behind the labels at this smoothing."""
        return lag(self.labels, self.smoothed(smoothing))


class _OracleDetector:
    """A detector that returns the labeled ROI, so that results depend on no real detector."""

    def __init__(self) -> None:
        self.landmarks = np.zeros((98, 2))

    def detect(self, frame: np.ndarray) -> list[ROI]:
        return [ROI.from_landmarks(self.landmarks)]


def track_sequence(frames: Iterable[LabeledFrame], backends: Mapping[str, Backend]) -> dict[str, Recording]:
    """Return each file's tracks of the first person; every file gets each frame in turn."""
    detector = _OracleDetector()
    trackers = {
        name: FaceTracker(TrackerOptions(model=each, detector=detector, smoothing=0.0))
        for name, each in backends.items()
    }
    observations: dict[str, list[tuple[float, Face | None]]] = {name: [] for name in backends}
    labels = []
    for number, frame in enumerate(frames):
        detector.landmarks = frame.landmarks[0]
        labels.append(frame.landmarks[0])
        for name, tracker in trackers.items():
            face = next(iter(tracker.update(frame.image, number / FPS)), None)
            observations[name].append((number / FPS, face))
    recordings = {}
    for name, each in observations.items():
        tracks = tracks_of(each)
        track_labels = [np.stack(labels[track.begin : track.begin + len(track.times)]) for track in tracks]
        recordings[name] = Recording(sum(map(len, track_labels)) / len(labels), tracks, track_labels)
    return recordings


def compute_metrics(name: str, still: Sequence[Recording], moving: Sequence[Recording]) -> list[Metric]:
    """Return the metrics of one file, from a recording of each person."""
    metrics = []
    for table, recordings in ((STILL, still), (MOVING, moving)):
        tracked = [100 * each.tracked for each in recordings]
        raw, smooth = ([each.nmf(smoothing) for each in recordings] for smoothing in (0.0, SMOOTHING))
        metrics += [
            mean_metric(table, name, "tracked", tracked, lower_is_better=False),
            mean_metric(table, name, "NMF unsmoothed", raw),
            mean_metric(table, name, "NMF", smooth),
        ]
    parts = [_error_parts(each) for each in moving]
    for column, unit in (("lag", "frames"), ("jitter", "%"), ("error by lag", "%"), ("error", "%")):
        metrics.append(mean_metric(MOVING, name, column, [part[column] for part in parts], unit))
    return metrics


def compute_curve(name: str, still: Sequence[Recording], moving: Sequence[Recording]) -> Curve:
    """Return the lag of moving faces against the flicker of still ones, over the smoothing.

    Raise ValueError if no face was tracked.
    """
    lags = [_mean([each.lag(s) for each in moving]) for s in SMOOTHINGS]
    flickers = [_mean([each.nmf(s) for each in still]) for s in SMOOTHINGS]
    if math.isnan(sum(lags) + sum(flickers)):
        raise ValueError(f"{name} tracked none of the rendered faces for long; give a trained network")
    axes = "lag of moving faces, frames", "NMF of still faces, %"
    return Curve("rendered faces, by smoothing", name, *axes, lags, flickers, [f"{s:g}" for s in SMOOTHINGS])


def _mean(values: Sequence[float]) -> float:
    """Return the mean without NaN; NaN for none."""
    return mean_and_error([each for each in values if not math.isnan(each)])[0]


def _error_parts(recording: Recording) -> dict[str, float]:
    """Return the parts of a moving face's error at the default smoothing."""
    delay = recording.lag(SMOOTHING)
    pairs = zip(recording.smoothed(SMOOTHING), recording.labels, strict=True)
    long = [(points, true) for points, true in pairs if len(true) > MAX_LAG]
    tracked, labels = [points[MAX_LAG:] for points, _ in long], [true[MAX_LAG:] for _, true in long]
    late = [] if math.isnan(delay) else [delayed(true, delay) for _, true in long]
    return {
        "lag": delay,
        "jitter": nmf(tracked, late) if late else math.nan,
        "error by lag": error(late, labels) if late else math.nan,
        "error": error(tracked, labels),
    }
