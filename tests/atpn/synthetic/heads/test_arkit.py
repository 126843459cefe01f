"""Blend-shape weights as ARKit's coefficients."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.synthetic.heads.arkit import NOT_GIVEN, coefficients, shape_names
from atpn.synthetic.heads.procedural import procedural_head
from edge_runtime.expressions import EXPRESSIONS


def _named(weights: dict[str, float]) -> dict[str, float]:
    return {name: float(v) for name, v in zip(EXPRESSIONS, coefficients(weights), strict=True) if v}


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"eyeBlink_L": 0.7}, {"eyeBlinkLeft": 0.7}),
        ({"jawLeft": 0.4, "mouthRight": 0.2}, {"jawLeft": 0.4, "mouthRight": 0.2}),
        ({"browInnerUp_L": 0.6, "browInnerUp_R": 0.2}, {"browInnerUp": 0.4}),
        ({"cheekPuff_L": 1.0, "cheekPuff_R": 1.0}, {"cheekPuff": 1.0}),
        ({"cheekSquint_R": 0.3, "cheekRaiser_R": 0.4}, {"cheekSquintRight": 0.7}),
        ({"cheekSquint_L": 0.8, "cheekRaiser_L": 0.8}, {"cheekSquintLeft": 1.0}),
        ({"PupilDilate_L": 1.0}, {}),
    ],
)
def test_coefficients_of_weights(weights, expected):
    assert _named(weights) == pytest.approx(expected)


def test_only_the_tongue_has_no_shape():
    assert [name for name in EXPRESSIONS if not shape_names(name)] == list(NOT_GIVEN) == ["tongueOut"]


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_the_subjects_left_eye_is_at_the_images_right(side):
    head = procedural_head()
    moved = head.express(head.neutral, {shape_names(f"eyeBlink{side}")[0]: 1.0}) - head.neutral
    x = head.neutral[np.abs(moved).sum(axis=1) > 0.1, 0]
    assert (x > 0).all() if side == "Left" else (x < 0).all()


@pytest.mark.slow
def test_every_given_coefficient_moves_the_ict_head_toward_its_side(asset_renderer):
    head = asset_renderer.head
    for name in EXPRESSIONS:
        for shape in shape_names(name):
            moved = head.express(head.neutral, {shape: 1.0}) - head.neutral
            size = np.linalg.norm(moved, axis=1)
            assert size.max() > 0.2, shape
            sided = name.endswith(("Left", "Right"))
            if sided and name.startswith(("jaw", "mouthLeft", "mouthRight")):
                assert (moved[size > 0.3, 0].mean() > 0) == name.endswith("Left"), name
            elif sided:
                center = (head.neutral[:, 0] * size).sum() / size.sum()
                assert (center > 0) == name.endswith("Left"), name
