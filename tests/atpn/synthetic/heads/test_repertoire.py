"""The repertoire shows each shape alone, in mixtures, and at its extremes."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.synthetic.heads.arkit import NOT_GIVEN, coefficients, shape_names
from atpn.synthetic.heads.repertoire import sample_repertoire
from edge_runtime.expressions import EXPRESSIONS

_NAMES = tuple({shape for name in EXPRESSIONS for shape in shape_names(name)})


@pytest.fixture(scope="module")
def faces():
    return [sample_repertoire(_NAMES, np.random.default_rng(seed)) for seed in range(4000)]


@pytest.fixture(scope="module")
def values(faces):
    return np.stack([coefficients(face.weights) for face in faces])


def test_every_given_coefficient_is_seen_weak_and_strong(values):
    for name, column in zip(EXPRESSIONS, values.T, strict=True):
        if name in NOT_GIVEN:
            assert not column.any()
            continue
        assert (column > 0.1).mean() > 0.02, name
        assert (column > 0.8).mean() > 0.002, name
        assert (column < 0.05).mean() > 0.4, name


def test_single_shapes_and_neutral_faces_are_common(values):
    looks = [i for i, name in enumerate(EXPRESSIONS) if name.startswith("eyeLook")]
    moving = (np.delete(values, looks, axis=1) > 0.02).sum(axis=1)
    assert 0.05 < (moving == 0).mean() < 0.12
    assert 0.15 < ((moving >= 1) & (moving <= 2)).mean() < 0.45
    assert (moving >= 5).mean() > 0.3


def test_faces_do_nothing_impossible(faces):
    for face in faces:
        weights = face.weights
        assert all(0 < weight <= 1 for weight in weights.values())
        assert weights.get("mouthClose", 0.0) <= weights.get("jawOpen", 0.0)
        assert not {"jawLeft", "jawRight"} <= weights.keys()
        assert not {"eyeBlink_L", "eyeWide_L"} <= weights.keys()


def test_shapes_that_a_head_lacks_stay_out():
    for seed in range(50):
        assert set(sample_repertoire(("jawOpen",), np.random.default_rng(seed)).weights) <= {"jawOpen"}
