"""Failures, false tracks, re-detection, and ids."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.stability.failures import FrameMatch, compute_metrics, match_tracks, score
from benchmarks.stability.frames import LabeledFrame
from edge_runtime import ROI, Face, Pose, TrackState

SHAPE = np.random.default_rng(0).uniform(0, 100, (98, 2))
SECOND = 30


def report(number, points):
    ray = np.array([0.0, 0.0, 1.0])
    return Face(number, TrackState.TRACKED, points, np.ones(98), Pose(np.eye(3)), 0.9, ROI(0, 0, 200), ray, 1)


def frame(places, shown):
    image = np.zeros((8, 8, 3), np.uint8)
    return LabeledFrame(image, np.stack([SHAPE + place for place in places]), np.array(shown))


def matches(*stretches):
    """(frames, shown, ids) each."""
    return [FrameMatch(np.array(shown), tuple(ids), 0) for count, shown, ids in stretches for _ in range(count)]


def test_match_tracks_assigns_reports_to_the_nearest_visible_face():
    both = frame([(0, 0), (300, 0)], [1.0, 0.5])
    match = match_tracks(
        both, [report(7, SHAPE + np.array([305, 4])), report(3, SHAPE - 5), report(5, SHAPE + np.array([150, 200]))]
    )
    assert match.ids == (3, 7)
    assert match.false == 1, "nobody is there"
    hidden = match_tracks(frame([(0, 0)], [0.05]), [report(3, SHAPE)])
    assert (hidden.ids, hidden.false) == ((None,), 1), "the person is hidden"


def test_score_counts_failures_of_visible_faces():
    made = score(matches((10, [1.0], [None]), (10, [1.0], [0]), (5, [1.0], [None]), (10, [1.0], [1])))
    assert (made.failures, made.visible, made.tracked) == (1, 35, 20)
    assert made.hours == pytest.approx(35 / 30 / 3600)
    leaving = score(matches((10, [1.0], [0]), (5, [0.5], [None]), (5, [1.0], [0])))
    assert leaving.failures == 0, "half covered when lost"
    assert leaving.times_to_redetect == [], "never hidden"


def test_score_measures_time_to_redetect():
    gone = (30, [0.0], [None])
    made = score(matches((10, [1.0], [0]), gone, (6, [1.0], [None]), (9, [1.0], [1]), gone, (12, [1.0], [None])))
    assert made.times_to_redetect == pytest.approx([6 / 30, 12 / 30])
    assert made.failures == 0


@pytest.mark.parametrize(
    ("after", "kept", "swapped"),
    [([4, 6], 2, 0), ([6, 4], 0, 2), ([4, 9], 1, 0), ([4, None], 1, 0), ([9, 4], 0, 1)],
)
def test_score_compares_ids_across_an_interruption(after, kept, swapped):
    made = score(
        matches((2 * SECOND, [1.0, 1.0], [4, 6]), (SECOND, [1.0, 0.2], [4, None]), (2 * SECOND, [1.0, 1.0], after))
    )
    assert (made.ids, made.kept, made.id_switches) == (2, kept, swapped)


def test_failure_metrics_have_standard_errors():
    calm = score(matches((SECOND, [1.0], [0])))
    lost = score(matches((SECOND // 2, [1.0], [0]), (SECOND // 2, [1.0], [None])))
    made = {(f.table, f.column): f for f in compute_metrics("a.tflite", {"calm": [calm, calm], "odd": [calm, lost]})}
    hour = 3600
    none, some, every = (made[table, "failures per hour"] for table in ("calm", "odd", "all scenes"))
    assert (none.value, none.std_error) == (0, pytest.approx(hour / 2)), "at least one failure"
    assert (some.value, some.std_error) == (pytest.approx(hour / 2), pytest.approx(hour / 2))
    assert every.value == pytest.approx(hour / 4)
    assert made["odd", "tracked"].value == pytest.approx(75)
    assert made["odd", "tracked"].std_error == pytest.approx(50 / math.sqrt(2) / math.sqrt(2))
    assert made["odd", "time to re-detect"].value is None
    assert made["odd", "ids kept"].value is None
