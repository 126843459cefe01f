import numpy as np
import pytest

from edge_runtime.gaze import gaze_angles, gaze_directions, turn_gaze
from edge_runtime.geometry import angles_to_matrix


@pytest.mark.parametrize(
    ("direction", "yaw", "pitch"),
    [
        ((0.0, 0.0, -2.0), 0.0, 0.0),  # into the camera
        ((1.0, 0.0, -1.0), 45.0, 0.0),  # to the image's right, the subject's left
        ((0.0, -1.0, -1.0), 0.0, 45.0),  # up
        ((-1.0, 0.0, 0.0), -90.0, 0.0),
    ],
)
def test_signs_of_gaze(direction, yaw, pitch):
    np.testing.assert_allclose(np.degrees(gaze_angles(np.array(direction))), [yaw, pitch], atol=1e-9)


def test_angles_and_directions_are_inverse():
    angles = np.random.default_rng(0).uniform(-1.4, 1.4, (50, 2, 2))
    np.testing.assert_allclose(gaze_angles(gaze_directions(angles)), angles, atol=1e-12)


def test_eyes_that_look_straight_ahead_have_the_heads_angles():
    pitch, yaw, roll = 0.3, -0.6, 0.2
    turned = turn_gaze(np.zeros((2, 2)), angles_to_matrix(np.array([pitch, yaw, roll])).tolist())
    np.testing.assert_allclose(turned, [[yaw, pitch]] * 2, atol=1e-12)
