import numpy as np
import pytest

from atpn.tufa.anchors import (
    WFLW_WITHOUT_IBUG,
    WITHOUT_IBUG_INDICES,
    affine_onto,
    converted,
    shared_points,
)
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert


def test_the_68_points_and_the_rest_make_the_98():
    indices = np.arange(98, dtype=float)[:, None]
    known = convert(indices, WFLW_98, IBUG_68)[:, 0].astype(int)
    assert sorted([*known, *WITHOUT_IBUG_INDICES]) == list(range(98))
    assert len(WITHOUT_IBUG_INDICES) == 30
    np.testing.assert_array_equal(converted(indices, WFLW_WITHOUT_IBUG)[:, 0], WITHOUT_IBUG_INDICES)


def test_an_affine_map_is_found():
    rng = np.random.default_rng(0)
    source, linear = rng.random((6, 2)), np.array([[1.5, 0.2], [-0.4, 0.8]])
    points = rng.random((3, 2))
    np.testing.assert_allclose(affine_onto(points, source, source @ linear + (3, 4)), points @ linear + (3, 4))


def test_points_on_a_line_give_no_affine_map():
    line = np.linspace(0, 1, 5)[:, None] * (1.0, 2.0)
    with pytest.raises(ValueError, match="three points that are not on a line"):
        affine_onto(line, line, line)


def test_shared_points_are_the_same_places():
    indices = np.arange(98, dtype=float)[:, None]
    ours, theirs = shared_points("ibug68", "cofw29")
    np.testing.assert_array_equal(converted(indices, "ibug68")[ours], converted(indices, "cofw29")[theirs])
    # The lids' middles, pupils, and two ends and a middle of the brows are COFW's alone, or means of two.
    assert len(ours) == 19
    assert shared_points("ibug68", "wflw98")[0] == list(range(68))
