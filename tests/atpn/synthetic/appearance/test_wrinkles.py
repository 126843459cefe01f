"""Folds deepen with age, stay where they belong, and cost nothing elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.synthetic.appearance.wrinkles import Wrinkles


@pytest.fixture
def wrinkles(ring: np.ndarray) -> Wrinkles:
    points = 40 + 170 * ring.astype(np.float64)
    points[[60, 72]] = (80, 100), (170, 100)
    return Wrinkles(points, (256, 512))


def _paint(wrinkles: Wrinkles, age: float) -> tuple[np.ndarray, np.ndarray]:
    atlas = np.full((256, 512, 3), 0.5, np.float32)
    return atlas, wrinkles.paint(atlas, age, np.random.default_rng(3))


def test_age_deepens_the_relief_and_darkens_the_grooves(wrinkles):
    (young, smooth), (old, rough) = _paint(wrinkles, 0.0), _paint(wrinkles, 1.0)
    assert rough.astype(float).std() > 1.3 * smooth.astype(float).std()
    assert old.min() < young.min() - 0.03
    assert old.max() <= 0.5


def test_the_back_of_the_head_stays_as_it_is(wrinkles):
    atlas, relief = _paint(wrinkles, 1.0)
    assert (relief[:, 300:] == 128).all()
    assert (atlas[:, 300:] == 0.5).all()


def test_the_same_generator_draws_the_same_folds(wrinkles):
    np.testing.assert_array_equal(_paint(wrinkles, 0.7)[1], _paint(wrinkles, 0.7)[1])
