"""What is a failure, a false track, a return and a kept id."""

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


def verdicts(*stretches):
    """(frames, shown, ids) each."""
    return [FrameMatch(np.array(shown), tuple(ids), 0) for count, shown, ids in stretches for _ in range(count)]


def test_reports_belong_to_the_nearest_face_that_can_be_seen():
    both = frame([(0, 0), (300, 0)], [1.0, 0.5])
    verdict = match_tracks(
        both, [report(7, SHAPE + np.array([305, 4])), report(3, SHAPE - 5), report(5, SHAPE + np.array([150, 200]))]
    )
    assert verdict.ids == (3, 7)
    assert verdict.false == 1, "nobody stands there"
    hidden = match_tracks(frame([(0, 0)], [0.05]), [report(3, SHAPE)])
    assert (hidden.ids, hidden.false) == ((None,), 1), "there is nothing to see of that person"


def test_a_failure_is_a_face_lost_in_full_view():
    made = score(verdicts((10, [1.0], [None]), (10, [1.0], [0]), (5, [1.0], [None]), (10, [1.0], [1])))
    assert (made.failures, made.visible, made.tracked) == (1, 35, 20)
    assert made.hours == pytest.approx(35 / 30 / 3600)
    leaving = score(verdicts((10, [1.0], [0]), (5, [0.5], [None]), (5, [1.0], [0])))
    assert leaving.failures == 0, "it was half covered when it was lost"
    assert leaving.times_to_redetect == [], "it was never hidden"


def test_a_return_lasts_until_the_first_report():
    gone = (30, [0.0], [None])
    made = score(verdicts((10, [1.0], [0]), gone, (6, [1.0], [None]), (9, [1.0], [1]), gone, (12, [1.0], [None])))
    assert made.times_to_redetect == pytest.approx([6 / 30, 12 / 30])
    assert made.failures == 0


@pytest.mark.parametrize(
    ("after", "kept", "swapped"),
    [([4, 6], 2, 0), ([6, 4], 0, 2), ([4, 9], 1, 0), ([4, None], 1, 0), ([9, 4], 0, 1)],
)
def test_ids_are_compared_across_an_interruption(after, kept, swapped):
    made = score(
        verdicts((2 * SECOND, [1.0, 1.0], [4, 6]), (SECOND, [1.0, 0.2], [4, None]), (2 * SECOND, [1.0, 1.0], after))
    )
    assert (made.ids, made.kept, made.id_switches) == (2, kept, swapped)


def test_figures_hold_their_noise():
    calm = score(verdicts((SECOND, [1.0], [0])))
    lost = score(verdicts((SECOND // 2, [1.0], [0]), (SECOND // 2, [1.0], [None])))
    made = {(f.table, f.column): f for f in compute_metrics("a.tflite", {"calm": [calm, calm], "odd": [calm, lost]})}
    hour = 3600
    none, some, every = (made[table, "failures per hour"] for table in ("calm", "odd", "all scenes"))
    assert (none.value, none.std_error) == (0, pytest.approx(hour / 2)), "two seconds promise nothing for an hour"
    assert (some.value, some.std_error) == (pytest.approx(hour / 2), pytest.approx(hour / 2))
    assert every.value == pytest.approx(hour / 4)
    assert made["odd", "tracked"].value == pytest.approx(75)
    assert made["odd", "tracked"].std_error == pytest.approx(50 / math.sqrt(2) / math.sqrt(2))
    assert made["odd", "time to re-detect"].value is None
    assert made["odd", "ids kept"].value is None
