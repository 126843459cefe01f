"""Expressions cover what faces do, above all with mouths and lids."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.synthetic.heads.expression import sample_expression
from atpn.synthetic.heads.procedural import procedural_head


@pytest.fixture(scope="module")
def faces():
    names = procedural_head().expression_names
    return [sample_expression(names, np.random.default_rng(seed)) for seed in range(1000)]


def _share(faces, name, low, high=1.0):
    return np.mean([low <= face.weights.get(name, 0.0) <= high for face in faces])


def test_mouths_are_often_open_and_sometimes_wide(faces):
    assert 0.2 < _share(faces, "jawOpen", 0.3) < 0.5
    assert _share(faces, "jawOpen", 0.6) > 0.12
    assert _share(faces, "jawOpen", 0.0, 0.05) > 0.3


def test_teeth_show_in_a_fourth_of_the_images(faces):
    assert (
        np.mean([f.weights.get("mouthUpperUp_L", 0) > 0.2 or f.weights.get("jawOpen", 0) > 0.5 for f in faces]) > 0.25
    )


def test_lids_are_closed_half_closed_and_open(faces):
    assert 0.12 < _share(faces, "eyeBlink_L", 0.8) < 0.25
    assert 0.06 < _share(faces, "eyeBlink_L", 0.4, 0.8) < 0.2
    assert _share(faces, "eyeBlink_L", 0.0, 0.1) > 0.4


def test_weights_and_gaze_are_sound(faces):
    for face in faces:
        assert all(0 <= weight <= 1 for weight in face.weights.values())
        assert np.linalg.norm(face.gaze, axis=1) == pytest.approx([1.0, 1.0])
        assert (face.gaze[:, 2] < 0).all()
