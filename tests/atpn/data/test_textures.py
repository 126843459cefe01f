import numpy as np
import pytest

from atpn.data.textures import FONTS, KINDS, _font, texture


def test_textures_are_determined_by_their_seed_and_differ():
    first, again = ([texture(64, np.random.default_rng(seed)) for seed in range(20)] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first[0].shape == (64, 64, 3)
    assert first[0].dtype == np.uint8
    assert len({image.tobytes() for image in first}) == 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [16, 112])
def test_every_kind_has_structure_at_any_size(kind, size):
    rng = np.random.default_rng(1)
    images = np.array([kind(size, rng) for _ in range(10)])
    assert images.shape == (10, size, size, 3)
    # Flat images would teach nothing: levels vary across most of them.
    assert np.median(images.std(axis=(1, 2)).max(axis=1)) > 10


@pytest.mark.parametrize("name", FONTS)
def test_every_font_draws_letters_of_its_own(name):
    assert _font(name, 20).getmask("Rg").getbbox() is not None
    assert _font(name, 20).getname() != _font(FONTS[FONTS.index(name) - 1], 20).getname()
