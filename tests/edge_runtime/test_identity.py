import numpy as np
import pytest

from edge_runtime import ROI
from edge_runtime.identity import LostTrack, LostTrackBuffer, same_face
from edge_runtime.motion import RoiMotion


def lost(number, x, time=0.0):
    return LostTrack(number, RoiMotion(ROI(x, 100, 80), time), time)


def test_match_returns_the_nearest_track_once():
    faces = LostTrackBuffer(2.0)
    faces.add(lost(3, 100))
    faces.add(lost(5, 150))
    assert faces.match(ROI(140, 100, 80), 0.5) == 5
    assert faces.match(ROI(140, 100, 80), 0.5) == 3
    assert faces.match(ROI(140, 100, 80), 0.5) is None


@pytest.mark.parametrize("roi", [ROI(190, 100, 80), ROI(100, 100, 130), ROI(100, 100, 50)])
def test_match_returns_none_for_another_position_or_size(roi):
    faces = LostTrackBuffer(2.0)
    faces.add(lost(0, 100))
    assert faces.match(roi, 0.1) is None


def test_remove_expired_removes_old_tracks_and_those_after_the_timestamp():
    for now in (2.0, -5.0):
        faces = LostTrackBuffer(2.0)
        faces.add(lost(0, 100))
        faces.remove_expired(now)
        assert faces.match(ROI(100, 100, 80), now) is None


def test_match_extrapolates_motion():
    motion = RoiMotion(ROI(0, 100, 80), 0.0)
    for i in range(1, 10):
        motion.update(ROI(10 * i, 100, 80), i / 30)
    faces = LostTrackBuffer(2.0)
    faces.add(LostTrack(7, motion, 0.3))
    assert faces.match(ROI(190, 100, 80), 0.5) == 7


def test_same_face_compares_landmarks():
    points = np.random.default_rng(0).uniform(0, 100, (98, 2))
    assert same_face(points, points + 5)
    assert not same_face(points, points + 30)
