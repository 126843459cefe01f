"""Unbroken tracks and their smoothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.stability.jitter import lag, nmf
from benchmarks.stability.tracks import gaps_between_faces, tracks_of
from edge_runtime import ROI, Face, Pose, TrackState
from edge_runtime.smoothing import OneEuroPoints


def face(number, age, points=None):
    points = np.zeros((98, 2)) if points is None else points
    ray = np.array([0.0, 0.0, 1.0])
    return Face(number, TrackState.TRACKED, points, np.ones(98), Pose(np.eye(3)), 0.9, ROI(0, 0, 200), ray, age)


def test_tracks_end_when_the_face_changes_or_leaves():
    ages = [None, (0, 0), (0, 1), None, (0, 0), (1, 0), (1, 1), (1, 2)]
    seen = [(float(i), None if pair is None else face(*pair)) for i, pair in enumerate(ages)]
    assert [(track.begin, track.times) for track in tracks_of(seen)] == [(1, [1, 2]), (4, [4]), (5, [5, 6, 7])]
    assert gaps_between_faces(seen) == [2.0]
    assert gaps_between_faces(seen[:4]) == []


def test_track_smoothing_equals_the_trackers():
    points = np.random.default_rng(0).uniform(0, 100, (5, 98, 2))
    (track,) = tracks_of([(i / 30, face(0, i, each)) for i, each in enumerate(points)])
    assert track.smoothed(0.0) is track.landmarks
    point_filter = OneEuroPoints(0.7)
    expected = [point_filter(each, i / 30, 200.0) for i, each in enumerate(points)]
    assert track.smoothed(0.7) == pytest.approx(np.stack(expected))


def test_stronger_smoothing_reduces_flicker_and_adds_lag():
    rng, times = np.random.default_rng(0), np.arange(200)[:, None, None]
    shape = rng.uniform(0, 120, (98, 2))
    noisy, moving = shape + rng.normal(0, 0.5, (200, 98, 2)), shape + 30 * np.sin(times / (15, 20))
    still, turning = (
        tracks_of([(i / 30, face(0, i, each)) for i, each in enumerate(points)])[0] for points in (noisy, moving)
    )
    ground_truth = np.broadcast_to(shape, noisy.shape)
    knobs = (0.0, 0.1, 0.5, 1.0)
    flickers = [nmf([still.smoothed(knob)], [ground_truth]) for knob in knobs]
    lags = [lag([moving], [turning.smoothed(knob)]) for knob in knobs]
    assert all(a > b for a, b in itertools.pairwise(flickers))
    assert lags[0] == 0
    assert all(a <= b for a, b in itertools.pairwise(lags))
    assert lags[-1] > 0.2
