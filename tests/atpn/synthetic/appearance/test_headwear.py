"""Headwear sits on the head: above the eyes, outside the skull, over the hair."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.synthetic.appearance.headwear import Headwear, Skull, sample_headwear
from atpn.synthetic.heads.head import HeadModel, Part
from atpn.synthetic.heads.procedural import procedural_head


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return procedural_head()


@pytest.fixture(scope="module")
def worn(head: HeadModel) -> list[Headwear]:
    return [sample_headwear(head, head.neutral, 0.5, np.random.default_rng(i)) for i in range(60)]


def test_every_kind_appears_as_a_sound_mesh(worn):
    assert {w.kind for w in worn} == {"cap", "beanie", "hat", "scarf", "band", "helmet"}
    for thing in worn:
        mesh = thing.mesh
        assert mesh.points.shape == mesh.normals.shape == mesh.colors.shape
        assert np.isfinite(mesh.points).all()
        assert mesh.triangles.min() >= 0
        assert mesh.triangles.max() < len(mesh.points)
        assert (mesh.colors >= 0).all()
        assert (mesh.colors <= 1).all()


def test_crowns_lie_outside_the_scalp(head, worn):
    """Seen from the skull's center, no scalp above the rim reaches beyond the crown that covers it."""
    scalp = head.neutral[(head.part == Part.SKIN)]
    for thing in (w for w in worn if w.kind in ("beanie", "helmet")):
        above = scalp[scalp[:, 1] < thing.mesh.points[:, 1].min() + 4]
        inside = np.linalg.norm((above - thing.skull.center) / thing.skull.axes, axis=1)
        assert inside.max() < 1.05


def test_eyes_and_mouth_stay_free(head, worn):
    points = head.landmarks.at(head.neutral)
    for thing in (w for w in worn if w.kind in ("beanie", "band", "helmet", "scarf")):
        for landmark in points[[64, 68, 54, 79, 85]]:
            near = np.hypot(*(thing.mesh.points[:, :2] - landmark[:2]).T) < 0.5
            assert not (near & (thing.mesh.points[:, 2] < landmark[2])).any()


def test_hair_is_pressed_under_the_rim_only(head):
    skull = Skull.of(head, head.neutral, 1.0)
    over = skull.center + np.array([[0, -2.0, 0]]) * skull.axes[1]
    beside = skull.center + np.array([[3.0 * skull.axes[0], 5.0, 0]])
    pressed = skull.press(np.concatenate([over, beside]), skull.brow)
    assert pressed[0, 1] > over[0, 1] + 5
    np.testing.assert_array_equal(pressed[1], beside[0])
