import numpy as np
import pytest

from atpn.tufa.anchors import WFLW_WITHOUT_IBUG, converted
from atpn.tufa.config import TUFAConfig
from atpn.tufa.network import new_tufa
from atpn.tufa.zero_shot import can_place, place_unseen

CONFIG = TUFAConfig("patches", dim=32, depth=1, heads=2, decoder_depth=1)


def knowing(shape, **sets):
    """A network with these sets' anchors, all of one mean face."""
    return new_tufa(CONFIG, {name: converted(shape, scheme) for name, scheme in sets.items()}, 0, sets)


@pytest.mark.parametrize("reference", ["wflw98", "cofw29"])
def test_unseen_points_lie_where_a_shared_shape_has_them(atpn, reference):
    """Where the network's mean shapes are the given one but for an affine map, the map is found."""
    mean = atpn.mean_shape.numpy()
    given = converted(mean, "ibug68") @ np.array([[0.9, 0.1], [-0.2, 1.1]]) + (0.3, 0.1)
    found = place_unseen(knowing(mean, any=reference), "ibug68", given)
    np.testing.assert_allclose(found, converted(mean, "ibug68"), atol=1e-5)


def test_all_sets_but_those_left_out_place_the_points(atpn):
    mean = atpn.mean_shape.numpy()
    model = knowing(mean, a="ibug68", b="cofw29")
    model.alignment.weight.data[1:69] = 0.1  # what `a` learned to be beside
    given = converted(mean, "ibug68")
    beside = place_unseen(model, "ibug68", given)
    np.testing.assert_allclose(place_unseen(model, "ibug68", given, without=["a"]), given, atol=1e-5)
    assert 0.05 < (beside - given).mean() < 0.1


def test_points_that_no_set_has_cannot_be_placed(atpn):
    model = knowing(atpn.mean_shape.numpy(), rest=WFLW_WITHOUT_IBUG)
    assert not can_place(model, "ibug68")
    assert not can_place(model, "mine")
    assert can_place(model, "wflw98")
    with pytest.raises(ValueError, match="cannot place ibug68 on the plane: it shares no point"):
        place_unseen(model, "ibug68", np.zeros((68, 2)))
