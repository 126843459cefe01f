"""Surfaces: normals, points that ride on them, blend shapes."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.synthetic.heads.head import HeadModel, SurfacePoints
from atpn.synthetic.heads.procedural import procedural_head
from atpn.synthetic.heads.surface import sample_surface


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return procedural_head()


def test_surface_points_are_weighted_means_of_their_vertices():
    surface = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 8.0, 2.0]])
    points = SurfacePoints(np.array([[0, 1, 2]]), np.array([[0.5, 0.25, 0.25]]))
    np.testing.assert_allclose(points.at(surface), [[1.0, 2.0, 0.5]])


def test_normals_point_out_of_the_head(head):
    skin = head.part == 0
    outward = head.neutral[skin] - head.neutral[skin].mean(axis=0)
    assert (np.einsum("vd,vd->v", head.normals(head.neutral)[skin], outward) > 0).mean() > 0.9


def test_normals_match_a_plain_loop(head):
    surface = head.neutral.astype(np.float64)
    expected = np.zeros_like(surface)
    for a, b, c in head.triangles:
        normal = np.cross(surface[b] - surface[a], surface[c] - surface[a])
        for vertex in (a, b, c):
            expected[vertex] += normal
    used = np.linalg.norm(expected, axis=1) > 1e-6
    expected[used] /= np.linalg.norm(expected[used], axis=1, keepdims=True)
    np.testing.assert_allclose(head.normals(surface)[used], expected[used], atol=1e-4)


def test_an_expression_adds_its_blend_shape_and_ignores_names_the_head_lacks(head):
    row = head.expression_index["jawOpen"]
    moved = head.express(head.neutral, {"jawOpen": 0.5, "no such shape": 1.0})
    np.testing.assert_allclose(moved, head.neutral + 0.5 * head.expression[row], atol=1e-5)


def test_opening_the_jaw_parts_the_lips(head):
    def gap(surface):
        points = head.landmarks.at(surface)
        return points[94, 1] - points[90, 1]  # inner lips, y down

    assert gap(head.express(head.neutral, {"jawOpen": 1.0})) > gap(head.neutral) + 0.5


def test_samples_lie_on_their_triangles(head):
    points = sample_surface(head.neutral, head.triangles, 500, np.random.default_rng(0))
    assert (points.weights >= 0).all()
    np.testing.assert_allclose(points.weights.sum(axis=1), 1.0)
