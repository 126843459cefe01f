import numpy as np
import pytest

from edge_runtime import ROI
from edge_runtime.identity import LostTrack, LostTrackBuffer, same_face
from edge_runtime.motion import RoiMotion

FRAME = (640, 480)


def lost(number, x, time=0.0):
    return LostTrack(number, RoiMotion(ROI(x, 100, 80), time), time)


def lost_at(number, x, y, speed=(0.0, 0.0), size=80):
    """Return a track lost at 1 s at a place; its speed is in pixels a second."""
    motion = RoiMotion(ROI(x - speed[0], y - speed[1], size), 0.0)
    for step in range(1, 31):
        motion.update(ROI(x + speed[0] * (step / 30 - 1), y + speed[1] * (step / 30 - 1), size), step / 30)
    return LostTrack(number, motion, 1.0)


def test_match_returns_the_nearest_track_once():
    faces = LostTrackBuffer(2.0)
    faces.add(lost(3, 100))
    faces.add(lost(5, 150))
    assert faces.match(ROI(140, 100, 80), 0.5, FRAME) == 5
    assert faces.match(ROI(140, 100, 80), 0.5, FRAME) == 3
    assert faces.match(ROI(140, 100, 80), 0.5, FRAME) is None


@pytest.mark.parametrize("roi", [ROI(190, 100, 80), ROI(100, 100, 130), ROI(100, 100, 50)])
def test_match_returns_none_for_another_position_or_size(roi):
    faces = LostTrackBuffer(2.0)
    faces.add(lost(0, 100))
    assert faces.match(roi, 0.1, FRAME) is None


def test_remove_expired_removes_old_tracks_and_those_after_the_timestamp():
    for now in (2.26, -5.0):
        faces = LostTrackBuffer(2.0)
        faces.add(lost(0, 100))
        faces.remove_expired(now, 1.0, FRAME)
        assert faces.match(ROI(100, 100, 80), now, FRAME) is None


@pytest.mark.parametrize(
    ("seconds", "now", "searched", "left"), [(2.0, 2.1, 1.9, 1), (2.0, 2.1, 2.0, 0), (0.0, 0.0, -9.0, 0)]
)
def test_remove_expired_keeps_tracks_that_may_have_returned_since_the_last_search(seconds, now, searched, left):
    faces = LostTrackBuffer(seconds)
    faces.add(lost(0, 100))
    faces.remove_expired(now, searched, FRAME)
    assert len(faces) == left


@pytest.mark.parametrize(
    ("track", "seconds"),
    [(lost_at(0, 20, 200), 1.0), (lost_at(0, 20, 200, (-160, 0)), 0.5), (lost_at(0, 320, 240), 0.0)],
    ids=["slow", "two sizes a second", "lost inside"],
)
def test_remove_expired_keeps_a_track_longer_that_left_the_frame(track, seconds):
    for later, left in ((seconds - 0.01, 1), (seconds + 0.01, 0)):
        faces = LostTrackBuffer(2.0)
        faces.add(track)
        faces.remove_expired(3.0 + later, 3.0 + later, FRAME)
        assert len(faces) == left


def test_match_extrapolates_motion():
    motion = RoiMotion(ROI(0, 100, 80), 0.0)
    for i in range(1, 10):
        motion.update(ROI(10 * i, 100, 80), i / 30)
    faces = LostTrackBuffer(2.0)
    faces.add(LostTrack(7, motion, 0.3))
    assert faces.match(ROI(190, 100, 80), 0.5, FRAME) == 7


def test_same_face_compares_landmarks():
    points = np.random.default_rng(0).uniform(0, 100, (98, 2))
    assert same_face(points, points + 5)
    assert not same_face(points, points + 30)


@pytest.mark.parametrize(
    ("track", "roi", "found"),
    [
        pytest.param(lost_at(0, 20, 200), ROI(60, 400, 80), True, id="cut off by the left border, back at it"),
        pytest.param(lost_at(0, 20, 200), ROI(60, 441, 80), False, id="more than three sizes along the border"),
        pytest.param(lost_at(0, 20, 200), ROI(119, 400, 80), True, id="a size and a half inside"),
        pytest.param(lost_at(0, 20, 200), ROI(121, 400, 80), False, id="farther inside"),
        pytest.param(lost_at(0, 41, 200), ROI(60, 400, 80), False, id="wholly inside and at rest"),
        pytest.param(lost_at(0, 100, 200, (-400, 0)), ROI(60, 400, 80), True, id="on its way out"),
        pytest.param(lost_at(0, 100, 200, (400, 0)), ROI(60, 400, 80), False, id="on its way in"),
        pytest.param(lost_at(0, 20, 200), ROI(620, 200, 80), False, id="at the opposite border"),
        pytest.param(lost_at(0, 620, 200), ROI(580, 400, 80), True, id="right"),
        pytest.param(lost_at(0, 300, 20), ROI(500, 60, 80), True, id="top"),
        pytest.param(lost_at(0, 300, 460), ROI(100, 430, 80), True, id="bottom"),
        pytest.param(lost_at(0, 20, 20), ROI(250, 60, 80), True, id="by a corner, back at the other border of it"),
        pytest.param(lost_at(0, 20, 200), ROI(60, 400, 121), False, id="of another size"),
    ],
)
def test_match_finds_a_track_that_left_by_the_border_where_a_face_appears(track, roi, found):
    faces = LostTrackBuffer(2.0)
    faces.add(track)
    assert faces.match(roi, 2.5, FRAME) == (0 if found else None)


@pytest.mark.parametrize(("y", "found"), [(200, None), (130, 0), (280, 1), (110, 0), (320, 1)])
def test_match_of_several_that_left_by_a_border_takes_the_only_one_near(y, found):
    faces = LostTrackBuffer(2.0)
    faces.add(lost_at(0, 10, 100))
    faces.add(lost_at(1, 10, 300))
    assert faces.match(ROI(110, y, 80), 1.5, FRAME) == found


def test_match_of_several_that_left_at_one_place_takes_none_of_them_from_afar():
    faces = LostTrackBuffer(2.0)
    faces.add(lost_at(0, 10, 100))
    faces.add(lost_at(1, 10, 150))
    assert faces.match(ROI(110, 125, 80), 1.5, FRAME) is None
