"""Failures, false tracks, re-detection, and id switches of a tracker on labeled scenes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.results import Metric, mean_and_error, mean_metric
from benchmarks.stability.frames import FPS, LabeledFrame
from benchmarks.stability.jitter import sizes
from edge_runtime import Face, FaceTracker

VISIBLE, HIDDEN = 0.9, 0.1
"""Visible fractions of a person's landmarks: from the first on, a tracker should report the face; up to the second, it
should not; in between it may."""
MAX_DISTANCE = 0.25
"""Maximum mean distance of a report's landmarks from a face's, face sizes."""
NOTES = (
    "Scenes: rendered people in front of a noisy camera, 640 x 480, 30 frames a second, found by the detector's file. "
    f"A person is visible while {VISIBLE:.0%} of the landmarks are in the frame and not occluded, hidden at "
    f"{HIDDEN:.0%}. A report matches a person if its landmarks are within a quarter of the face's size on average.",
    "Failures: a reported face is no longer reported while it is visible; per hour of frames with a visible face. The "
    "standard error is at least one failure. The scenes are hard on purpose and their mix is arbitrary: use them to "
    "compare files, not to predict an hour of use. False tracks: frames with a report where no person is, or of a "
    "hidden person. Time to re-detect: from the return of a hidden face to its first report.",
    "Ids kept and id switches: of people once all have been in view again for a second, the same id as before, or "
    "another person's. A tracker remembers a lost face for two seconds.",
)


@dataclass(frozen=True)
class FrameMatch:
    """A tracker's reports matched to the people in one frame."""

    visible_fraction: np.ndarray
    """As `LabeledFrame.visible_fraction`."""
    ids: tuple[int | None, ...]
    """Id of the report on each person."""
    false: int
    """Number of reports where no person is, or on a hidden person."""


def match_tracks(frame: LabeledFrame, faces: Sequence[Face]) -> FrameMatch:
    """Assign each report to the nearest person."""
    ids: list[int | None] = [None] * len(frame.visible_fraction)
    false = 0
    for face in faces:
        distances = np.linalg.norm(frame.landmarks - face.landmarks, axis=2).mean(axis=1) / sizes(frame.landmarks)
        person = int(distances.argmin())
        if distances[person] <= MAX_DISTANCE and frame.visible_fraction[person] > HIDDEN:
            ids[person] = face.id
        else:
            false += 1
    return FrameMatch(frame.visible_fraction, tuple(ids), false)


@dataclass
class Score:
    """Counts in one scene, or in several."""

    frames: int = 0
    false: int = 0
    """Number of frames with a false report."""
    visible: int = 0
    """Number of frames with a visible person, summed over people."""
    tracked: int = 0
    """Number of those with a report."""
    failures: int = 0
    """Number of times that a reported, visible face is no longer reported."""
    times_to_redetect: list[float] = field(default_factory=list)
    """Seconds from each return of a hidden face to its first report, or to its next disappearance."""
    ids: int = 0
    """Number of people after an interruption who had been reported before."""
    kept: int = 0
    """Number of those with the same id."""
    id_switches: int = 0
    """Number of those with somebody else's id."""

    @property
    def hours(self) -> float:
        """Time in which a face should have been reported."""
        return self.visible / FPS / 3600


def evaluate_scene(frames: Iterable[LabeledFrame], trackers: Mapping[str, FaceTracker]) -> dict[str, Score]:
    """Return each tracker's score on a scene; every tracker gets each frame in turn."""
    matches: dict[str, list[FrameMatch]] = {name: [] for name in trackers}
    for number, frame in enumerate(frames):
        for name, tracker in trackers.items():
            matches[name].append(match_tracks(frame, tracker.update(frame.image, number / FPS)))
    return {name: score(each) for name, each in matches.items()}


def score(matches: Sequence[FrameMatch]) -> Score:
    """Return the score of a scene."""
    result = Score(frames=len(matches), false=sum(match.false > 0 for match in matches))
    fractions = np.stack([match.visible_fraction for match in matches])
    for person in range(fractions.shape[1]):
        views = _runs(fractions[:, person] >= VISIBLE)
        for number, (begin, end) in enumerate(views):
            reported = [match.ids[person] is not None for match in matches[begin:end]]
            result.visible += len(reported)
            result.tracked += sum(reported)
            result.failures += sum(before and not now for before, now in itertools.pairwise(reported))
            if number and (fractions[views[number - 1][1] : begin, person] <= HIDDEN).any():
                frames = reported.index(True) if any(reported) else len(reported)
                result.times_to_redetect.append(frames / FPS)
    complete = [run for run in _runs((fractions >= VISIBLE).all(axis=1)) if run[1] - run[0] > FPS]
    for before, after in itertools.pairwise(_last_ids(matches[begin:end]) for begin, end in complete):
        for person in before:
            result.ids += 1
            result.kept += before[person] == after.get(person)
            others = [each for other, each in before.items() if other != person]
            result.id_switches += after.get(person) in others
    return result


def compute_metrics(name: str, scores: Mapping[str, Sequence[Score]]) -> list[Metric]:
    """Return the metrics of one file from a score per repeat of each scene."""
    metrics = [_failures("all scenes", name, [each for scene in scores.values() for each in scene])]
    for scene, repeats in scores.items():
        metrics.append(_failures(scene, name, repeats))
        for column, part, whole, lower_is_better in (
            ("false tracks", "false", "frames", True),
            ("tracked", "tracked", "visible", False),
            ("ids kept", "kept", "ids", False),
            ("id switches", "id_switches", "ids", True),
        ):
            pairs = [(getattr(each, part), getattr(each, whole)) for each in repeats]
            values = [100 * count / total if total else math.nan for count, total in pairs]
            metrics.append(mean_metric(scene, name, column, values, lower_is_better=lower_is_better))
        times = [mean_and_error(each.times_to_redetect)[0] for each in repeats]
        metrics.append(mean_metric(scene, name, "time to re-detect", times, "s"))
    return metrics


def _failures(table: str, name: str, scores: Sequence[Score]) -> Metric:
    """Return the failures per hour; the standard error is at least one failure."""
    hours = sum(each.hours for each in scores)
    _, error = mean_and_error([each.failures / each.hours for each in scores])
    rate = sum(each.failures for each in scores) / hours
    return Metric(table, name, "failures per hour", rate, "", max(error, 1 / hours))


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Return begin and end of each run of True in (T,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _last_ids(matches: Sequence[FrameMatch]) -> dict[int, int]:
    """Return the last id of each person who had one."""
    return {person: each for match in matches for person, each in enumerate(match.ids) if each is not None}
