from __future__ import annotations

import numpy as np
import pytest

from atpn.synthetic.heads.eyes import FULL_LOOK, follow_gaze, sample_gaze
from edge_runtime.gaze import gaze_angles, gaze_directions


def _followed(yaw: float, pitch: float, **weights: float) -> dict[str, float]:
    given = dict(weights)
    follow_gaze(given, gaze_directions(np.array([[yaw, pitch]] * 2) * FULL_LOOK))
    return {name: weight for name, weight in given.items() if weight > 1e-9}


def test_looking_to_the_subjects_left_turns_one_eye_out_and_one_in():
    assert _followed(0.5, 0.0) == pytest.approx({"eyeLookOut_L": 0.5, "eyeLookIn_R": 0.5})


def test_looking_down_lowers_both_lids():
    assert _followed(0.0, -0.5) == pytest.approx({"eyeLookDown_L": 0.5, "eyeLookDown_R": 0.5})
    assert _followed(0.0, 2.0) == pytest.approx({"eyeLookUp_L": 1.0, "eyeLookUp_R": 1.0})


def test_a_closed_lid_does_not_follow():
    followed = _followed(0.0, -0.8, eyeBlink_L=1.0, eyeBlink_R=0.5)
    assert followed == pytest.approx({"eyeBlink_L": 1.0, "eyeBlink_R": 0.5, "eyeLookDown_R": 0.4})


def test_looks_of_an_earlier_gaze_are_replaced():
    assert _followed(0.0, 0.0, eyeLookUp_L=0.9) == {}


def test_gaze_reaches_all_directions_and_eyes_converge():
    rng = np.random.default_rng(0)
    angles = np.degrees([gaze_angles(sample_gaze(rng)) for _ in range(2000)])
    np.testing.assert_allclose(np.linalg.norm(sample_gaze(rng), axis=1), 1.0)
    for axis, limit in ((0, 40.0), (1, 32.0)):
        assert limit * 0.8 < np.abs(angles[..., axis]).max() <= limit + 1e-6
    # The eye at the image's left turns to the image's right, toward the nose, more than the other.
    turned = angles[:, 0, 0] - angles[:, 1, 0]
    assert (turned > -1e-6).all()
    assert 2 < turned.mean() < 9
    assert np.allclose(angles[:, 0, 1], angles[:, 1, 1])
