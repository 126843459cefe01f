from dataclasses import fields, replace

import numpy as np
import pytest

from atpn.data.augment import THESIS_AUGMENT, AugmentConfig, augment
from atpn.train.config import RECIPES

PROBABILITIES = ("tone", "channel_order", "gray", "low_resolution", "blur", "motion_blur", "noise", "jpeg", "cover")
NOTHING = replace(AugmentConfig(), **dict.fromkeys(PROBABILITIES, 0.0))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def test_with_all_probabilities_zero_nothing_changes(image):
    assert set(PROBABILITIES) < {f.name for f in fields(AugmentConfig)}
    np.testing.assert_array_equal(augment(image, NOTHING, np.random.default_rng(0)), image)


@pytest.mark.parametrize("kind", PROBABILITIES)
def test_each_kind_changes_a_copy_only(image, kind):
    before = image.copy()
    changed = augment(image, replace(NOTHING, **{kind: 1.0}), np.random.default_rng(1))
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert (changed != image).any()
    np.testing.assert_array_equal(image, before)


def test_the_seed_decides(image):
    everything = replace(NOTHING, **dict.fromkeys(PROBABILITIES, 1.0))
    first, second = (augment(image, everything, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_channels_keep_their_order(image):
    red = np.zeros_like(image)
    red[..., 0] = 200
    for kind in ("jpeg", "blur", "low_resolution"):
        changed = augment(red, replace(NOTHING, **{kind: 1.0}), np.random.default_rng(1))
        assert changed[..., 0].mean() > 150
        assert changed[..., 2].mean() < 50


def test_gray_is_gray(image):
    changed = augment(image, replace(NOTHING, gray=1.0), np.random.default_rng(1))
    np.testing.assert_array_equal(changed[..., 0], changed[..., 2])


def test_channels_are_reordered_by_every_permutation(image):
    config = replace(NOTHING, channel_order=1.0)
    orders = set()
    for seed in range(40):
        changed = augment(image, config, np.random.default_rng(seed))
        orders.add(tuple(next(k for k in range(3) if (image[..., k] == changed[..., i]).all()) for i in range(3)))
    assert len(orders) == 6


def test_the_thesis_changes_channels_and_nothing_else():
    assert replace(NOTHING, channel_order=THESIS_AUGMENT.channel_order) == THESIS_AUGMENT
    recipes = [recipe for (name, _), recipe in RECIPES.items() if name == "thesis"]
    assert len(recipes) == 3
    for recipe in recipes:  # the method is the same in all stages (section 3.3.2)
        assert recipe.augment == THESIS_AUGMENT
        jitter = recipe.jitter
        assert (jitter.center_sigma > 0, jitter.rotation > 0, jitter.flip_prob > 0) == (True, True, True)
        assert (jitter.scale_sigma, jitter.unrolled_prob) == (0, 1)
        assert recipe.background_mix > 0
