import numpy as np
import pytest

from atpn.data.crops import NO_JITTER, cut_crop, jittered_roi
from atpn.train.config import Recipe
from atpn.tufa.anchors import DENSE, converted
from atpn.tufa.batches import PlaneBatches, PlanePoints
from atpn.tufa.training_set import single_set
from edge_runtime.landmarks import WFLW_98


def crop_of(store, index, mean_shape, flip=False):
    roi = jittered_roi(store.landmarks[index], mean_shape, NO_JITTER, np.random.default_rng(0))
    return cut_crop(store[index], roi, 32, flip)


@pytest.fixture
def mean(tiny):
    return tiny.mean_shapes[tiny.rows("wflw98")].numpy()


@pytest.mark.parametrize("name", ["wflw98", "ibug68", "cofw29"])
def test_each_crop_is_asked_for_some_of_the_points(tiny, store, mean, name):
    points, rng = PlanePoints(tiny, [name], 24), np.random.default_rng(0)
    crop = crop_of(store, 0, mean)
    seen = set()
    for _ in range(40):
        places, rows, targets = points.draw(crop, None, rng)
        assert len(set(rows.tolist())) == len(places) == len(targets) == 24
        index = rows - 1
        np.testing.assert_array_equal(places, tiny.mean_shapes.numpy()[index])
        np.testing.assert_array_equal(targets, converted(crop.landmarks, name)[index - tiny.rows(name).start])
        seen |= set(index.tolist())
    rows = tiny.rows(name)
    assert seen == set(range(rows.start, rows.stop))


@pytest.mark.parametrize("flip", [False, True])
def test_dense_points_belong_to_no_scheme_and_are_mirrored(tiny, store, mean, flip):
    plane = store.plane(0)
    crop = crop_of(store, 0, mean, flip)
    places, rows, targets = PlanePoints(tiny, [DENSE], 24).draw(crop, plane, np.random.default_rng(0))
    assert not rows.any()
    mirror = WFLW_98.mirror if flip else np.arange(98)
    # The dense points are every third landmark: what a mirrored crop shows at (x, y) is its mirror landmark.
    expected = {tuple(np.round(mean[mirror[i]], 4)): crop.landmarks[mirror[i]] for i in range(0, 98, 3)}
    for place, target in zip(places, targets, strict=True):
        nearest = min(expected, key=lambda other: np.abs(np.subtract(other, place)).sum())
        np.testing.assert_allclose(nearest, place, atol=2e-3)
        np.testing.assert_allclose(expected[nearest], target, atol=0.01)  # dense labels are in sixteenths of a pixel


def test_a_crop_without_dense_points_takes_a_scheme(tiny, store, mean):
    points, rng = PlanePoints(tiny, ["cofw29", DENSE], 24), np.random.default_rng(0)
    crop = crop_of(store, 20, mean)
    assert crop.dense is None
    assert all(points.draw(crop, None, rng)[1].min() > tiny.rows("cofw29").start for _ in range(20))


def test_all_sources_take_their_turn(tiny, store, mean):
    points, rng = PlanePoints(tiny, ["wflw98", "ibug68", DENSE], 24), np.random.default_rng(0)
    crop, starts = crop_of(store, 0, mean), []
    for _ in range(300):
        rows = points.draw(crop, store.plane(0), rng)[1]
        starts.append("dense" if rows.max() == 0 else "wflw98" if rows.max() <= 98 else "ibug68")
    assert all(70 < starts.count(name) < 130 for name in ("wflw98", "ibug68", "dense"))


def test_more_points_than_a_scheme_has_are_refused(tiny):
    with pytest.raises(ValueError, match="cofw29 has 29 points, got --points 30"):
        PlanePoints(tiny, ["cofw29"], 30)


def test_batches_depend_on_the_step_alone(tiny, store):
    recipe = Recipe(samples=None, batch_size=6)
    points = PlanePoints(tiny, ["wflw98", "ibug68", DENSE], 24)
    source = [single_set(store, points.sources)], [store.faces], [points], [1.0], recipe, 32
    batches = PlaneBatches(*source, seed=3)
    stream = iter(batches)
    next(stream)
    second = next(stream)
    again = next(iter(PlaneBatches(*source, seed=3, first_step=1)))
    assert {key: tuple(value.shape) for key, value in second.items()} == {
        "image": (6, 32, 32, 3),
        "plane": (6, 24, 2),
        "row": (6, 24),
        "flipped": (6,),
        "landmarks": (6, 24, 2),
    }
    for key, value in second.items():
        assert value.equal(again[key]), key
