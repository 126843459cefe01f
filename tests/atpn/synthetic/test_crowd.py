"""Scenes of several people: one image, everybody labeled, the nearer hiding the farther."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from atpn.data.sample import Sample
from atpn.synthetic.crowd import _behind, _moved, render_samples
from atpn.synthetic.drawing.renderer import FaceRenderer, Figure
from edge_runtime.geometry import Intrinsics


def _rendered(renderer: FaceRenderer, scenes: float, count: int = 9) -> list[Sample]:
    before = renderer.options
    renderer.options = dataclasses.replace(before, scenes=scenes)
    try:
        return list(render_samples(renderer, range(count)))
    finally:
        renderer.options = before


@pytest.fixture(scope="module")
def crowds(procedural_renderer: FaceRenderer) -> list[list[Sample]]:
    samples = _rendered(procedural_renderer, 1.0)
    return [samples[i : i + 3] for i in range(0, 9, 3)]


def test_a_scene_is_one_image_with_a_sample_for_each_face(crowds):
    for crowd in crowds:
        assert crowd[0].image.shape == (384, 384, 3)
        for i, sample in enumerate(crowd):
            np.testing.assert_array_equal(sample.image, crowd[0].image)
            others = [other.landmarks for j, other in enumerate(crowd) if j != i]
            np.testing.assert_array_equal(sample.neighbors, others)
        assert len({sample.key for sample in crowd}) == len({s.attributes["identity"] for s in crowd}) == 3


def test_a_moved_face_fits_its_moved_camera():
    """Points in space, projected by the moved camera, fall where the points' old projections were moved to."""
    rng = np.random.default_rng(0)
    space = rng.uniform(-10, 10, (50, 3)) + np.array([0, 0, 60])
    camera = Intrinsics(400.0, 400.0, 95.5, 95.5)
    moved = _moved(_figure(_projected(space, camera), camera), 0.7, 31, 12)
    np.testing.assert_allclose(moved.landmarks, _projected(space, moved.intrinsics), atol=1e-3)
    np.testing.assert_allclose(moved.landmarks, (_projected(space, camera) + 0.5) * 0.7 - 0.5 + [31, 12], atol=1e-3)


def test_what_a_nearer_person_covers_is_hidden():
    points = np.array([[2.0, 2.0], [14.0, 12.0], [18.0, 12.0], [90.0, 90.0]])
    covers = np.zeros((20, 20), np.float32)
    covers[:, :10] = 1  # the window's left half: pixels 8 to 17
    behind = _behind(_figure(points, Intrinsics(1.0, 1.0, 0.0, 0.0)), covers, 8, 5)
    assert behind.visibility.tolist() == behind.dense_visibility.tolist() == [True, False, True, True]


def test_portraits_do_not_depend_on_the_share_of_scenes(procedural_renderer):
    alone, mixed = _rendered(procedural_renderer, 0.0, 6), _rendered(procedural_renderer, 0.5, 6)
    portraits = [(a, b) for a, b in zip(alone, mixed, strict=True) if b.neighbors is None]
    assert portraits
    for sample, partner in portraits:
        np.testing.assert_array_equal(sample.image, partner.image)


def _projected(space: np.ndarray, camera: Intrinsics) -> np.ndarray:
    return space[:, :2] / space[:, 2:] * (camera.fx, camera.fy) + (camera.cx, camera.cy)


def _figure(points: np.ndarray, camera: Intrinsics) -> Figure:
    nothing = np.zeros((1, 1), np.float32)
    seen = np.ones(len(points), bool)
    return Figure(
        nothing, nothing, points, seen, points, seen, np.eye(3), camera, np.zeros(52, np.float32), np.zeros((2, 2))
    )
