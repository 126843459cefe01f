"""Range of coordinates."""

import numpy as np
import pytest

from atpn.data.coordinates import MAX_COORDINATE, are_coordinates


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 2 * MAX_COORDINATE, -1e300, -(2**63)])
def test_are_coordinates_is_false_when_a_value_is_out_of_range(wrong):
    assert are_coordinates([[0, -MAX_COORDINATE], [MAX_COORDINATE, 0.5]])
    assert not are_coordinates([[0, 0], [wrong, 0]])
    assert not are_coordinates(np.array([wrong]))
