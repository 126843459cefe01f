"""Errors against drawn outlines, of networks with different points."""

from types import SimpleNamespace

import numpy as np
import pytest

from atpn.evaluate.protocols.outlines import CURVES, OUTER_CORNERS, POINTS, face_errors
from benchmarks.baselines.network import LandmarkNetwork
from benchmarks.baselines.outlines import evaluate_outlines
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert


@pytest.fixture
def faces():
    """Templates with a level eye line 100 px long, in one picture each."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(3):
        drawn = rng.uniform(40, 160, (189, 2))
        drawn[list(OUTER_CORNERS)] = (50, 80), (150, 80)
        for curves in CURVES.values():  # from left to right, so that each is a curve
            for curve in curves:
                inner = list(curve.drawn)[1:-1]
                drawn[inner] = drawn[inner][np.argsort(drawn[inner, 0])]
        found.append(SimpleNamespace(image=np.zeros((200, 200, 3), np.uint8), landmarks=drawn))
    return found


class Guess(LandmarkNetwork):
    """Always the same 98 landmarks, or iBUG's of them."""

    box_scale = 1.0

    def __init__(self, landmarks, scheme):
        self.name, self.scheme, self.landmarks = scheme.name, scheme, landmarks

    def prepare(self, frame, roi):
        return frame

    def run(self, tensor):
        return self.landmarks

    def decode(self, output, roi):
        return convert(output, WFLW_98, self.scheme)

    def to_ibug(self, landmarks):
        return convert(landmarks, self.scheme, IBUG_68)

    def to_wflw(self, landmarks):
        return landmarks if self.scheme == WFLW_98 else super().to_wflw(landmarks)


def test_networks_are_compared_by_the_points_that_all_have(faces):
    landmarks = np.random.default_rng(1).uniform(40, 160, (98, 2))
    rows = {}
    for scheme in (WFLW_98, IBUG_68):
        rows[scheme.name] = {m.column: m.value for m in evaluate_outlines(Guess(landmarks, scheme), faces, 1.0)}
    shared = ("curves, iBUG's points", "points, iBUG's points")
    assert tuple(rows["ibug68"]) == shared
    for column in shared:
        assert rows["wflw98"][column] == pytest.approx(rows["ibug68"][column])
    errors = [face_errors(face.landmarks, landmarks) for face in faces]
    for row in ("curves", "points"):
        expected = 100 * np.mean([each[row][:, 0].mean() for each in errors])
        assert rows["wflw98"][f"{row}, 98 points"] == pytest.approx(expected)
    # Of the 13 places, iBUG's points have all but the pupils.
    without = 100 * np.mean([each["points"][len(POINTS["pupils"]) :, 0].mean() for each in errors])
    assert rows["ibug68"]["points, iBUG's points"] == pytest.approx(without)
