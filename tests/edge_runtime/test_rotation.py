import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from edge_runtime.gaze import gaze_angles, gaze_directions, turn_gaze
from edge_runtime.geometry import angles_to_matrix, head_rotation
from edge_runtime.rotation import MAX_PLAIN_ANGLE, product, rotation_by, rotation_vector, transposed

RNG = np.random.default_rng(0)
ANGLES = [0.0, 1e-12, 1e-6, 0.3, 2.0, MAX_PLAIN_ANGLE - 1e-3, MAX_PLAIN_ANGLE + 1e-3, math.pi - 1e-6]


def test_products_and_inverses_equal_numpys():
    first, second = RNG.normal(size=(2, 3, 3))
    assert np.allclose(product(first.tolist(), second.tolist()), first @ second)
    assert np.array_equal(transposed(first.tolist()), first.T)


@pytest.mark.parametrize("angle", ANGLES)
def test_rotation_vectors_equal_scipys(angle):
    vector = angle * np.array([0.48, -0.6, 0.64])
    matrix = Rotation.from_rotvec(vector).as_matrix()
    assert np.allclose(rotation_by(*vector.tolist()), matrix, rtol=0, atol=1e-12)
    assert rotation_vector(matrix.tolist()) == pytest.approx(vector.tolist(), abs=1e-8)


def test_half_a_turn_has_an_axis():
    vector = rotation_vector(Rotation.from_rotvec([0.0, math.pi, 0.0]).as_matrix().tolist())
    assert [abs(value) for value in vector] == pytest.approx([0.0, math.pi, 0.0])


def test_one_rotation_equals_the_one_of_arrays():
    angles = RNG.uniform(-3, 3, (5, 4, 3))
    single = [[head_rotation(*each) for each in row] for row in angles.tolist()]
    assert np.allclose(single, angles_to_matrix(angles), rtol=0, atol=1e-12)


def test_turned_gaze_equals_turned_directions():
    angles, rotation = RNG.uniform(-1.4, 1.4, (50, 2)), Rotation.random(random_state=1).as_matrix()
    expected = gaze_angles(gaze_directions(angles) @ rotation.T)
    assert np.allclose(turn_gaze(angles, rotation.tolist()), expected, rtol=0, atol=1e-9)
