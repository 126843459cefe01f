import dataclasses

import cv2
import numpy as np
import pytest

from atpn.data.augment import motion_kernel
from atpn.synthetic.appearance.degrade import DegradeConfig, degrade

NAMES = ("shadow", "vignette", "color_cast", "gamma", "contrast", "gray", "saturation", "blur", "motion_blur")
NAMES += ("low_resolution", "noise", "jpeg")
NOTHING = DegradeConfig(**dict.fromkeys(NAMES, 0.0))


def source() -> np.ndarray:
    image = np.full((64, 64, 3), (180, 140, 120), np.float32)
    image[20:44, 16:48] = (60, 90, 200)
    return image


def only(**chosen) -> DegradeConfig:
    return dataclasses.replace(NOTHING, **chosen)


def test_without_effects_the_image_is_only_rounded():
    image = source() + np.float32(0.4)
    np.testing.assert_array_equal(degrade(image, np.random.default_rng(0), NOTHING), source().astype(np.uint8))


def test_default_effects_leave_images_recognizable():
    image = source()
    rng = np.random.default_rng(0)
    correlations = []
    for _ in range(100):
        out = degrade(image, rng, DegradeConfig())
        assert out.dtype == np.uint8
        assert out.shape == image.shape
        correlations.append(np.corrcoef(out.mean(axis=2).ravel(), image.mean(axis=2).ravel())[0, 1])
    assert np.median(correlations) > 0.9


def test_the_input_is_not_changed_and_a_seed_repeats():
    image = source()
    first = degrade(image, np.random.default_rng(5), DegradeConfig(noise=1, jpeg=1))
    np.testing.assert_array_equal(image, source())
    np.testing.assert_array_equal(first, degrade(image, np.random.default_rng(5), DegradeConfig(noise=1, jpeg=1)))


def test_gray_has_no_color():
    out = degrade(source(), np.random.default_rng(0), only(gray=1))
    assert np.ptp(out.astype(int), axis=2).max() == 0
    weights = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(out[..., 0], source() @ weights, atol=1)


@pytest.mark.parametrize("effect", ["blur", "motion_blur", "low_resolution"])
def test_losses_of_sharpness_keep_brightness_and_lower_contrast_of_edges(effect):
    sharp = source()
    out = degrade(sharp, np.random.default_rng(1), only(**{effect: 1})).astype(np.float32)
    assert abs(out.mean() - sharp.mean()) < 2

    def edges(image):
        return np.abs(np.diff(image, axis=0)).max() + np.abs(np.diff(image, axis=1)).max()

    assert edges(out) < edges(sharp)


def test_noise_grows_with_light_as_configured():
    config = only(noise=1, read_noise=(2.0, 2.0), shot_noise=(0.5, 0.5))
    image = np.full((128, 128, 3), 40, np.float32)
    image[:, 64:] = 160
    spread = []
    for seed in range(12):
        out = degrade(image, np.random.default_rng(seed), config).astype(float)
        spread.append([out[:, :64].std(), out[:, 64:].std()])
    dark, light = np.mean(spread, axis=0)
    assert dark == pytest.approx(np.hypot(2, 0.5 * np.sqrt(40)), rel=0.15)
    assert light == pytest.approx(np.hypot(2, 0.5 * np.sqrt(160)), rel=0.15)


def test_shadow_darkens_one_side_only():
    flat = np.full((64, 64, 3), 200, np.float32)
    for seed in range(8):
        out = degrade(flat, np.random.default_rng(seed), only(shadow=1, shadow_depth=(0.5, 0.5))).astype(int)
        assert out.max() <= 200
        assert out.min() >= 99


def test_jpeg_keeps_the_order_of_channels():
    out = degrade(source(), np.random.default_rng(0), only(jpeg=1, jpeg_quality=(90.0, 90.0)))
    assert np.abs(out[30, 30].astype(int) - (60, 90, 200)).max() < 12


@pytest.mark.parametrize(("length", "angle"), [(4.0, 0.0), (6.5, 0.7), (8.0, np.pi / 2)])
def test_motion_kernel_is_a_centered_line(length, angle):
    kernel = motion_kernel(length, angle)
    assert kernel.sum() == pytest.approx(1)
    half = kernel.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    assert abs((kernel * x).sum()) < 0.1
    assert abs((kernel * y).sum()) < 0.1
    across = x * -np.sin(angle) + y * np.cos(angle)
    along = x * np.cos(angle) + y * np.sin(angle)
    assert (kernel * along**2).sum() > 2 * (kernel * across**2).sum()


def test_other_shapes_are_refused_and_any_size_works():
    with pytest.raises(ValueError, match=r"RGB image \(H, W, 3\)"):
        degrade(np.zeros((8, 8), np.float32), np.random.default_rng(0), NOTHING)
    wide = cv2.resize(source(), (90, 33))
    rng = np.random.default_rng(0)
    assert all(degrade(wide, rng, DegradeConfig()).shape == (33, 90, 3) for _ in range(30))
