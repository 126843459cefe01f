"""The templates that come along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import atpn.templates
from edge_runtime.landmarks import WFLW_98
from edge_runtime.template import Template

FOLDER = Path(atpn.templates.__file__).parent
MIRRORED = {"left": "right", "right": "left"}


@pytest.mark.parametrize(("name", "count"), [("lips", 20), ("eyes_brows", 36), ("makeup", 12)])
def test_examples_are_sound_and_about_symmetric(name, count):
    template = Template.read(FOLDER / f"{name}.json")
    assert (template.name, len(template.points)) == (name, count)
    assert len(template.names) == count
    assert template.edges
    mirrored = template.points * (-1, 1) + (1, 0)
    distance = np.linalg.norm(mirrored[:, None] - template.points, axis=-1).min(axis=1)
    assert distance.max() < 0.01


def test_the_lips_are_the_landmarks_of_the_mouth():
    names = Template.read(FOLDER / "lips.json").names
    assert names == tuple(f"mouth_{index}" for index in WFLW_98.groups["mouth"])


def test_make_up_is_where_no_landmark_is():
    """The scheme's places of these points' neighborhood are those of the two other templates."""
    makeup = Template.read(FOLDER / "makeup.json").points
    others = np.concatenate([Template.read(FOLDER / f"{name}.json").points for name in ("lips", "eyes_brows")])
    assert np.linalg.norm(makeup[:, None] - others, axis=-1).min() > 0.01
