"""The map between a face and the plane."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.tufa.spline import warp_points
from edge_runtime.geometry import rotation_2d


def test_an_affine_map_is_found_exactly_near_and_far(ring):
    matrix, shift = rotation_2d(0.3) * (0.7, 1.2), np.array([0.1, -0.05])
    points = np.array([[0.5, 0.5], [0.2, 0.9], [3.0, -2.0]])
    np.testing.assert_allclose(warp_points(points, ring, ring @ matrix.T + shift), points @ matrix.T + shift, atol=1e-5)


def test_a_smooth_warp_is_followed_and_undone(atpn):
    source = atpn.mean_shape.numpy()

    def warped(points: np.ndarray) -> np.ndarray:
        return points + 0.03 * np.sin(4 * points[:, ::-1])

    inside = np.random.default_rng(0).uniform(0.3, 0.7, (50, 2))
    there = warp_points(inside, source, warped(source))
    assert np.linalg.norm(there - warped(inside), axis=1).max() < 0.005
    assert np.linalg.norm(warp_points(there, warped(source), source) - inside, axis=1).max() < 0.008


def test_a_closed_mouth_does_not_fold_the_face(atpn):
    target = atpn.mean_shape.numpy()
    source = target.copy()
    source[[89, 90, 91]] = source[[95, 94, 93]]  # the inner lips touch
    around = target[[78, 80, 84, 86]]
    assert np.linalg.norm(warp_points(around, source, target) - around, axis=1).max() < 0.02


def test_landmarks_on_a_line_are_refused(ring):
    line = np.column_stack([np.linspace(0, 1, 98), np.linspace(0, 0.5, 98)])
    with pytest.raises(ValueError, match="98 landmarks are on one line"):
        warp_points(ring, line, ring)
