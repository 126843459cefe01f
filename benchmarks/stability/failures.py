"""What a tracker reports against what can be seen: failures, false tracks, returns, ids."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.results import Figure, mean_and_noise
from benchmarks.stability.footage import FPS, LabelledFrame
from benchmarks.stability.jitter import sizes
from benchmarks.stability.means import mean_figure
from edge_runtime import Face, FaceTracker

VISIBLE, HIDDEN = 0.9, 0.1
"""Share of a person's landmarks that can be seen: from the first on a tracker should report the face, up to the second
it should not, and in between it may."""
MATCH = 0.25
"""Face sizes that landmarks may lie off on average and still be that face's."""
NOTES = (
    "Scenes: rendered people before a noisy camera, 640 x 480, 30 frames a second, found by the detector's file. A "
    f"person is visible while {VISIBLE:.0%} of the landmarks lie in the frame with nothing before them, hidden at "
    f"{HIDDEN:.0%}. A report is a person's if its landmarks lie within a quarter of the face's size on average.",
    "Failures: a reported face is no longer, though it stays visible; per hour of frames in which a face is visible, "
    "and never more certain than by one failure. The scenes are made to be hard, and their mix is ours: compare files "
    "by them; they say nothing of an hour of use. False tracks: frames with a report of nobody, or of somebody hidden. "
    "Found again after: from when a hidden face is visible again to its first report.",
    "Ids kept and swapped: of people once all are in view again for a second, the same as before, or somebody else's. "
    "A tracker remembers for two seconds whom it lost.",
)


@dataclass(frozen=True)
class Verdict:
    """One frame."""

    shown: np.ndarray
    """As `LabelledFrame.shown`."""
    ids: tuple[int | None, ...]
    """Of the report on each person."""
    false: int
    """Reports on nobody, or on somebody who cannot be seen."""


def judge(frame: LabelledFrame, faces: Sequence[Face]) -> Verdict:
    """Give each report to the person nearest to it."""
    ids: list[int | None] = [None] * len(frame.shown)
    false = 0
    for face in faces:
        off = np.linalg.norm(frame.landmarks - face.landmarks, axis=2).mean(axis=1) / sizes(frame.landmarks)
        person = int(off.argmin())
        if off[person] <= MATCH and frame.shown[person] > HIDDEN:
            ids[person] = face.id
        else:
            false += 1
    return Verdict(frame.shown, tuple(ids), false)


def watch(frames: Iterable[LabelledFrame], trackers: Mapping[str, FaceTracker]) -> dict[str, Score]:
    """What each tracker makes of a scene that all see in turn."""
    verdicts: dict[str, list[Verdict]] = {name: [] for name in trackers}
    for number, frame in enumerate(frames):
        for name, tracker in trackers.items():
            verdicts[name].append(judge(frame, tracker.update(frame.image, number / FPS)))
    return {name: score(each) for name, each in verdicts.items()}


@dataclass
class Score:
    """What happened in one scene, or in several."""

    frames: int = 0
    false: int = 0
    """Frames with a false report."""
    visible: int = 0
    """Frames of people who should be reported, summed over people."""
    held: int = 0
    """Those in which they are."""
    failures: int = 0
    """Times that a reported face is no longer, though it stays visible."""
    again: list[float] = field(default_factory=list)
    """Seconds from each return of a hidden face to its first report; until it goes where there is none."""
    ids: int = 0
    """Of people after an interruption of the scene's view, who had been reported before."""
    kept: int = 0
    """Those that are the same as before."""
    swapped: int = 0
    """Those that somebody else bore."""

    @property
    def hours(self) -> float:
        """In which a face should have been reported."""
        return self.visible / FPS / 3600


def score(verdicts: Sequence[Verdict]) -> Score:
    """Sum up a scene."""
    result = Score(frames=len(verdicts), false=sum(verdict.false > 0 for verdict in verdicts))
    shown = np.stack([verdict.shown for verdict in verdicts])
    for person in range(shown.shape[1]):
        views = _stretches(shown[:, person] >= VISIBLE)
        for number, (begin, end) in enumerate(views):
            reported = [verdict.ids[person] is not None for verdict in verdicts[begin:end]]
            result.visible += len(reported)
            result.held += sum(reported)
            result.failures += sum(before and not now for before, now in itertools.pairwise(reported))
            if number and (shown[views[number - 1][1] : begin, person] <= HIDDEN).any():
                result.again.append((reported.index(True) if any(reported) else len(reported)) / FPS)
    calm = [
        _last_ids(verdicts[begin:end]) for begin, end in _stretches((shown >= VISIBLE).all(axis=1)) if end - begin > FPS
    ]
    for before, after in itertools.pairwise(calm):
        for person in before:
            result.ids += 1
            result.kept += before[person] == after.get(person)
            result.swapped += after.get(person) in [each for other, each in before.items() if other != person]
    return result


def figures(name: str, scores: Mapping[str, Sequence[Score]]) -> list[Figure]:
    """Of one file, from a score per repeat of each scene."""
    made = [_failures("all scenes", name, [each for scene in scores.values() for each in scene])]
    for scene, repeats in scores.items():
        made.append(_failures(scene, name, repeats))
        shares = {
            "false tracks": ([_share(each.false, each.frames) for each in repeats], "less"),
            "held": ([_share(each.held, each.visible) for each in repeats], "more"),
            "ids kept": ([_share(each.kept, each.ids) for each in repeats], "more"),
            "ids swapped": ([_share(each.swapped, each.ids) for each in repeats], "less"),
        }
        made += [mean_figure(scene, name, column, values, "%", better) for column, (values, better) in shares.items()]
        again = [sum(each.again) / len(each.again) if each.again else math.nan for each in repeats]
        made.append(mean_figure(scene, name, "found again after", again, "s"))
    return made


def _failures(table: str, name: str, scores: Sequence[Score]) -> Figure:
    """Per hour; never more certain than by one failure."""
    hours = sum(each.hours for each in scores)
    _, noise = mean_and_noise([each.failures / each.hours for each in scores])
    rate = sum(each.failures for each in scores) / hours
    return Figure(table, name, "failures per hour", rate, "", max(noise, 1 / hours))


def _share(part: int, whole: int) -> float:
    return 100 * part / whole if whole else math.nan


def _stretches(true: np.ndarray) -> list[tuple[int, int]]:
    """First and behind the last of the consecutive ones among (T,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]])))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _last_ids(verdicts: Sequence[Verdict]) -> dict[int, int]:
    """The id that each person bore last, of those who bore one."""
    return {person: each for verdict in verdicts for person, each in enumerate(verdict.ids) if each is not None}
