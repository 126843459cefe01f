"""Jaws, mouths and chins vary where they should, and nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.synthetic.heads.procedural import procedural_head
from atpn.synthetic.heads.proportions import Proportions


@pytest.fixture(scope="module")
def head():
    return procedural_head()


@pytest.fixture(scope="module")
def shapes(head):
    """(100, 98, 3) landmarks of one head in random proportions."""
    vary = Proportions(head).vary
    return np.stack([head.landmarks.at(vary(head.neutral, np.random.default_rng(seed))) for seed in range(100)])


@pytest.mark.parametrize(
    ("first", "second", "axis", "least"),
    [(8, 24, 0, 0.04), (76, 82, 0, 0.06), (54, 16, 1, 0.03)],
    ids=["jaw width", "mouth width", "chin height"],
)
def test_the_lower_face_varies(shapes, first, second, axis, least):
    length = np.abs(shapes[:, first, axis] - shapes[:, second, axis])
    assert least < length.std() / length.mean() < 0.15


def test_eyes_brows_and_the_depth_of_the_face_stay(head, shapes):
    rest = head.landmarks.at(head.neutral)
    upper = [*range(33, 51), *range(60, 76)]
    assert np.abs(shapes[:, upper] - rest[upper]).max() < 0.15  # centimeters
    np.testing.assert_array_equal(shapes[..., 2], np.broadcast_to(rest[:, 2], shapes.shape[:2]))


def test_faces_stay_symmetric(shapes):
    width = shapes[:, 24, 0] + shapes[:, 8, 0]
    np.testing.assert_allclose(width, width.mean(), atol=1e-3)


def test_the_input_stays_as_it_was(head):
    before = head.neutral.copy()
    Proportions(head).vary(head.neutral, np.random.default_rng(0))
    np.testing.assert_array_equal(head.neutral, before)
