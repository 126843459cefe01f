"""Flicker, lag and error of faces that are held, on rendered sequences with labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.results import Curve, Figure, mean_and_noise
from benchmarks.stability.footage import FPS, LabelledFrame
from benchmarks.stability.jitter import MOST_LAG, delayed, error, lag, nmf
from benchmarks.stability.means import mean_figure
from benchmarks.stability.tracks import SMOOTHING, Track, tracks_of
from edge_runtime import Face, FaceTracker
from edge_runtime.backends import Backend
from edge_runtime.geometry import ROI

KNOBS = (0.0, 0.1, 0.25, 0.5, 1.0)
STILL, MOVING = "still faces", "moving faces"
NOTES = (
    "NMF, normalised mean flicker: root mean square over frames and landmarks of the change of a landmark's error "
    "since the last frame, in % of the face's size, which is the square root of the area of the labels' rectangle "
    "(Micaelli et al., CVPR 2023; their own figures are 256 times these).",
    "Lag: by how many frames labels must be delayed to leave landmarks' errors the least variance. Error by lag: "
    "between the labels and the labels so delayed. Jitter: NMF against the delayed labels. Error: root mean square "
    "distance from the labels. All in % of the face's size, with the default smoothing unless it says unsmoothed.",
    f"Curves of smoothing go through the knob at {', '.join(f'{knob:g}' for knob in KNOBS)}.",
)


@dataclass(frozen=True)
class Recording:
    """What one file held of one rendered sequence, unsmoothed."""

    held: float
    """Share of the frames."""
    tracks: list[Track]
    labels: list[np.ndarray]
    """(T, N, 2) of each track."""

    def smoothed(self, knob: float) -> list[np.ndarray]:
        """(T, N, 2) of each track."""
        return [track.smoothed(knob) for track in self.tracks]

    def nmf(self, knob: float) -> float:
        """`jitter.nmf` at this smoothing."""
        return nmf(self.smoothed(knob), self.labels)

    def lag(self, knob: float) -> float:
        """`jitter.lag` at this smoothing, behind the labels."""
        return lag(self.labels, self.smoothed(knob))


class _KnownRegion:
    """A detector that is told where the face is, so that nothing depends on a real one."""

    def __init__(self) -> None:
        self.landmarks = np.zeros((98, 2))

    def detect(self, frame: np.ndarray) -> list[ROI]:
        return [ROI.from_landmarks(self.landmarks)]


def follow(frames: Iterable[LabelledFrame], backends: Mapping[str, Backend]) -> dict[str, Recording]:
    """Each file's tracks of the first person in frames that every file sees in turn."""
    detector = _KnownRegion()
    trackers = {name: FaceTracker(backend=each, detector=detector, smoothing=0.0) for name, each in backends.items()}
    seen: dict[str, list[tuple[float, Face | None]]] = {name: [] for name in backends}
    labels = []
    for number, frame in enumerate(frames):
        detector.landmarks = frame.landmarks[0]
        labels.append(frame.landmarks[0])
        for name, tracker in trackers.items():
            seen[name].append((number / FPS, next(iter(tracker.update(frame.image, number / FPS)), None)))
    recordings = {}
    for name, each in seen.items():
        tracks = tracks_of(each)
        truths = [np.stack(labels[track.begin : track.begin + len(track.times)]) for track in tracks]
        recordings[name] = Recording(sum(len(truth) for truth in truths) / len(labels), tracks, truths)
    return recordings


def figures(name: str, still: Sequence[Recording], moving: Sequence[Recording]) -> list[Figure]:
    """Of one file, from a recording of each person."""
    made = []
    for table, recordings in ((STILL, still), (MOVING, moving)):
        held = [100 * each.held for each in recordings]
        raw, smooth = ([each.nmf(knob) for each in recordings] for knob in (0.0, SMOOTHING))
        made += [
            mean_figure(table, name, "held", held, "%", "more"),
            mean_figure(table, name, "NMF unsmoothed", raw, "%"),
            mean_figure(table, name, "NMF", smooth, "%"),
        ]
    parts = [_parts(each) for each in moving]
    for column, unit in (("lag", "frames"), ("jitter", "%"), ("error by lag", "%"), ("error", "%")):
        made.append(mean_figure(MOVING, name, column, [part[column] for part in parts], unit))
    return made


def curve(name: str, still: Sequence[Recording], moving: Sequence[Recording]) -> Curve:
    """Lag of moving faces against flicker of still ones, over the smoothing knob. ValueError where none was held."""
    lags = [_mean([each.lag(knob) for each in moving]) for knob in KNOBS]
    flickers = [_mean([each.nmf(knob) for each in still]) for knob in KNOBS]
    if math.isnan(sum(lags) + sum(flickers)):
        raise ValueError(f"{name} held none of the rendered faces for long; give a trained network")
    labels = "lag of moving faces, frames", "NMF of still faces, %"
    return Curve("rendered faces, by smoothing", name, *labels, lags, flickers, [f"{knob:g}" for knob in KNOBS])


def _mean(values: Sequence[float]) -> float:
    """Without the NaN; NaN for no others."""
    return mean_and_noise([each for each in values if not math.isnan(each)])[0]


def _parts(recording: Recording) -> dict[str, float]:
    """What the error of a moving face is made of, smoothed by default."""
    delay = recording.lag(SMOOTHING)
    long = [
        track for track in zip(recording.smoothed(SMOOTHING), recording.labels, strict=True) if len(track[1]) > MOST_LAG
    ]
    tracked, labels = [points[MOST_LAG:] for points, _ in long], [truth[MOST_LAG:] for _, truth in long]
    late = [] if math.isnan(delay) else [delayed(truth, delay) for _, truth in long]
    return {
        "lag": delay,
        "jitter": nmf(tracked, late),
        "error by lag": error(late, labels),
        "error": error(tracked, labels),
    }
