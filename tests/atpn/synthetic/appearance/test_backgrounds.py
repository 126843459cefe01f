import numpy as np
import pytest

from atpn.synthetic.appearance.backgrounds import Backgrounds, skin_tone, smooth_field

SIZE = 48


def panorama() -> np.ndarray:
    sky = np.linspace(2.0, 0.01, 64, dtype=np.float32)[:, None, None]
    image = np.broadcast_to(sky, (64, 128, 3)).copy()
    image[20, 30] = np.inf  # a sun beyond the file's range
    return image


def texture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (96, 128, 3), np.uint8)


@pytest.mark.parametrize(
    ("panoramas", "textures"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([panorama()], [], id="panorama"),
        pytest.param([panorama()], [texture()], id="both"),
    ],
)
def test_samples_and_negatives_are_image_files_the_asked_size(panoramas, textures):
    backgrounds = Backgrounds(panoramas, textures)
    rng = np.random.default_rng(0)
    for _ in range(60):
        sample = backgrounds.sample(rng, SIZE)
        assert sample.shape == (SIZE, SIZE, 3)
        assert sample.dtype == np.float32
        assert np.isfinite(sample).all()
        assert sample.min() >= 0
        assert sample.max() <= 255
        negative = backgrounds.negative(rng, SIZE)
        assert negative.shape == (SIZE, SIZE, 3)
        assert negative.dtype == np.uint8


def test_images_depend_on_the_generator_alone():
    backgrounds = Backgrounds([panorama()], [texture()])
    draws = [[backgrounds.negative(np.random.default_rng(seed), SIZE) for seed in range(8)] for _ in range(2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert len({image.tobytes() for image in draws[0]}) > 4


def test_inputs_stay_as_they_were():
    given, skin = panorama(), texture()
    before = given.copy(), skin.copy()
    backgrounds = Backgrounds([given], [skin])
    rng = np.random.default_rng(3)
    for _ in range(40):
        backgrounds.negative(rng, SIZE)
    np.testing.assert_array_equal(given, before[0])
    np.testing.assert_array_equal(skin, before[1])


def test_a_panoramas_own_exposure_does_not_matter():
    bright = Backgrounds([panorama() * np.float32(1000)], [])
    normal = Backgrounds([panorama()], [])
    for seed in range(20):
        one = bright.sample(np.random.default_rng(seed), SIZE)
        other = normal.sample(np.random.default_rng(seed), SIZE)
        np.testing.assert_allclose(one, other, atol=1.0)


def test_panorama_crops_keep_the_order_of_brightness():
    backgrounds = Backgrounds([panorama()[..., :3].clip(max=2)], [])
    rng = np.random.default_rng(0)
    for _ in range(10):
        rows = backgrounds._panorama_crop(rng, SIZE).mean(axis=(1, 2))
        assert rows[0] > rows[-1]  # this sky is brighter above


@pytest.mark.parametrize("shape", [(64, 128), (8, 64, 3), (64, 64, 4)])
def test_unusable_images_are_refused(shape):
    with pytest.raises(ValueError, match=r"panorama 0 must be RGB"):
        Backgrounds([np.ones(shape, np.float32)], [])


def test_skin_is_redder_than_blue():
    rng = np.random.default_rng(0)
    tones = np.stack([skin_tone(rng) for _ in range(200)])
    assert (tones[:, 0] > tones[:, 2]).all()
    assert np.ptp(tones[:, 0]) > 80


def test_smooth_field_is_smooth():
    field = smooth_field(np.random.default_rng(0), 96, 4)
    assert field.shape == (96, 96, 1)
    assert np.abs(np.diff(field, axis=0)).max() < 0.2 * np.ptp(field)
