"""Recall, precision, overlap, false alarms and time of one detector on one set of pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from atpn.evaluate.matching import match_detections
from atpn.evaluate.metrics import average_precision
from benchmarks.detector.finders import Scored
from benchmarks.detector.pictures import Picture
from benchmarks.results import Curve, Figure, mean_and_noise, median_and_noise

SIZES = (0.0, 0.05, 0.1, 0.2, 0.4, np.inf)
"""Edges of the faces' sizes over the frame's longer side."""
LOOSE_IOU = 0.3
"""Overlap that is enough for the tracking network to find the face."""
FALSE_ALARMS = (0.1, 0.3)
"""Per picture: recall is reported at a threshold that gives so many."""
RECALL_COLUMNS = tuple(f"recall at {most} false alarms" for most in FALSE_ALARMS)
RESAMPLES = 50
"""Bootstrap samples for the noise of figures that all pictures' scores share."""
MOST_ALARMS = 2.0
"""Per picture: where the curves end."""


@dataclass(frozen=True)
class Detections:
    """What one detector says about each picture."""

    name: str
    found: Sequence[Scored]
    milliseconds: Sequence[float]
    """Of each picture, processor time of one thread."""
    threshold: float
    """Score from which a region counts as a detection."""
    judged: bool = False


def figures_of(where: str, pictures: Sequence[Picture], made: Detections, first: Detections) -> Iterator[Figure]:
    """Of pictures called `where`; a mean over no faces has no value. `first` is what times are compared with."""
    table, row = f"{where}: faces found" + (", judged by the tracking network" if made.judged else ""), made.name
    kept = [[pair for pair in pairs if pair[0] >= made.threshold] for pairs in made.found]
    hits, overlaps = _hits(pictures, kept)
    loose, _ = _hits(pictures, kept, LOOSE_IOU)
    right = [overlap > 0 for picture in overlaps for overlap in picture]
    alarms = [float(sum(overlap == 0 for overlap in picture)) for picture in overlaps]
    yield _mean(table, row, "recall", 100.0 * hits, "%", "more")
    yield _mean(table, row, f"recall, IoU {LOOSE_IOU}", 100.0 * loose, "%", "more")
    yield _mean(table, row, "precision", [100.0 * each for each in right], "%", "more")
    yield _mean(table, row, "mean IoU", [o for picture in overlaps for o in picture if o > 0], "", "more")
    yield _mean(table, row, "false alarms per picture", alarms, "", "less")
    empty = [count for count, picture in zip(alarms, pictures, strict=True) if not picture.faces]
    if empty:
        yield _mean(table, row, "false alarms per picture without a face", empty, "", "less")
    matched = _matched(pictures, made.found)
    summary, noise = _summary(matched), _noise(matched)
    for column, value, error in zip(("AP", *RECALL_COLUMNS), summary, noise, strict=True):
        yield Figure(table, row, column, 100 * value, "%", 100 * error, "more")
    value, noise = median_and_noise(made.milliseconds)
    yield Figure(table, row, "time", value, "ms", noise)
    value, noise = median_and_noise([a / b for a, b in zip(made.milliseconds, first.milliseconds, strict=True)])
    yield Figure(table, row, f"time over {first.name}'s", value, "", noise)
    shares = np.array([s for p in pictures for s, wanted in zip(p.shares, p.wanted, strict=True) if wanted])
    for low, high in itertools.pairwise(SIZES):
        inside = (shares >= low) & (shares < high)
        if inside.any():
            column = f"from {100 * low:.0f} %" if high == np.inf else f"{100 * low:.0f} to {100 * high:.0f} %"
            yield _mean(f"{table}, recall by size", row, column, 100.0 * hits[inside], "%", "more")


def curve_of(where: str, pictures: Sequence[Picture], made: Detections) -> Curve:
    """Recall against false alarms as the threshold falls."""
    recall, per_picture = ranking(_matched(pictures, made.found))
    title = f"{where}: recall at false alarms" + (", judged" if made.judged else "")
    shown = per_picture <= MOST_ALARMS
    x, y = per_picture[shown].tolist(), (100 * recall[shown]).tolist()
    return Curve(title, made.name, "false alarms per picture", "recall, %", x, y)


@dataclass(frozen=True)
class Matched:
    """One picture's detections that count."""

    scores: Sequence[float]
    right: Sequence[bool]
    wanted: int
    """Faces to be found."""


def _matched(pictures: Sequence[Picture], found: Sequence[Scored]) -> list[Matched]:
    made = []
    for picture, pairs in zip(pictures, found, strict=True):
        matches, _ = match_detections(pairs, picture.faces, picture.wanted)
        counted = [
            (score, overlap > 0) for (score, _), overlap in zip(pairs, matches, strict=True) if overlap is not None
        ]
        made.append(Matched([score for score, _ in counted], [right for _, right in counted], sum(picture.wanted)))
    return made


def ranking(matched: Sequence[Matched]) -> tuple[np.ndarray, np.ndarray]:
    """Recall and false alarms per picture after each detection, best first."""
    scores, hits = _joined(matched)
    hits = hits[np.argsort(-scores, kind="stable")]
    return hits.cumsum() / max(sum(each.wanted for each in matched), 1), (~hits).cumsum() / len(matched)


def _joined(matched: Sequence[Matched]) -> tuple[np.ndarray, np.ndarray]:
    """All pictures' scores and whether each is right."""
    scores = np.array([score for each in matched for score in each.scores], float)
    return scores, np.array([right for each in matched for right in each.right], bool)


def _summary(matched: Sequence[Matched]) -> list[float]:
    """Average precision and the recall at each of `FALSE_ALARMS`."""
    recall, per_picture = ranking(matched)
    scores, hits = _joined(matched)
    # Average precision counts recall among what was detected at all.
    values = [float(recall[-1]) * average_precision(scores, hits) if hits.any() else 0.0]
    for most in FALSE_ALARMS:
        within = np.searchsorted(per_picture, most, side="right")
        values.append(float(recall[within - 1]) if within else 0.0)
    return values


def _noise(matched: Sequence[Matched]) -> list[float]:
    """Standard errors of `_summary`, by drawing the pictures anew."""
    rng = np.random.default_rng(0)
    draws = [[matched[i] for i in rng.integers(0, len(matched), len(matched))] for _ in range(RESAMPLES)]
    return [float(error) for error in np.std([_summary(draw) for draw in draws], axis=0)]


def _hits(
    pictures: Sequence[Picture], found: Sequence[Scored], same_face: float = 0.5
) -> tuple[np.ndarray, list[list[float]]]:
    """Which wanted faces are found, (faces,) bool; and each picture's detections' overlaps, 0 for a false alarm."""
    hits: list[bool] = []
    overlaps = []
    for picture, pairs in zip(pictures, found, strict=True):
        matches, missed = match_detections(pairs, picture.faces, picture.wanted, same_face)
        hits += [i not in missed for i, wanted in enumerate(picture.wanted) if wanted]
        overlaps.append([overlap for overlap in matches if overlap is not None])
    return np.array(hits, bool), overlaps


def _mean(
    table: str, row: str, column: str, values: Sequence[float] | np.ndarray, unit: str, better: Literal["less", "more"]
) -> Figure:
    value, noise = mean_and_noise(values)
    return Figure(table, row, column, value, unit, noise, better)
