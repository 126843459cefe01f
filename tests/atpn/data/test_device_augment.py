"""Changes to a batch against the same changes to one image, as OpenCV makes them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from atpn.data import device_augment
from atpn.data.augment import NO_AUGMENT, AugmentConfig, augment, motion_kernel
from atpn.data.device_augment import augment_batch

KINDS = ("tone", "channel_order", "gray", "low_resolution", "blur", "motion_blur", "noise", "jpeg", "cover")
SIDE = 64


@pytest.fixture
def images():
    """(4, S, S, 3) uint8, smooth with some grain."""
    rng = np.random.default_rng(0)
    smooth = [
        cv2.resize(rng.integers(30, 226, (8, 8, 3), dtype=np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        for _ in range(4)
    ]
    return np.clip(np.stack(smooth) + rng.normal(0, 4, (4, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def changed(images, config, seed=0):
    made = augment_batch(
        torch.from_numpy(images).float(), config, np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    )
    return made.round().numpy()


def assert_within_a_level(made, expected):
    difference = np.abs(made.numpy() - np.stack(expected))
    assert difference.max() <= 1.6  # what rounding in between can do
    assert difference.mean() < 0.5


def test_every_kind_is_tried_here():
    assert replace(AugmentConfig(), **dict.fromkeys(KINDS, 0.0)) == NO_AUGMENT


def test_blur_equals_opencv(images):
    sigma = [0.2, 0.5, 0.8, 1.4]
    matrices = device_augment.gaussian_matrices(torch.tensor(sigma), SIDE)
    made = device_augment.filter_axes(torch.from_numpy(images).float(), matrices)
    expected = [cv2.GaussianBlur(image, (0, 0), each) for image, each in zip(images, sigma, strict=True)]
    assert_within_a_level(made, expected)


def test_low_resolution_equals_opencv(images):
    small = [8, 19, 32, 51]
    matrices = device_augment.resolution_matrices(torch.tensor(small, dtype=torch.float32), SIDE)
    made = device_augment.filter_axes(torch.from_numpy(images).float(), matrices)
    shrunk = [cv2.resize(image, (n, n), interpolation=cv2.INTER_AREA) for image, n in zip(images, small, strict=True)]
    assert_within_a_level(made, [cv2.resize(image, (SIDE, SIDE)) for image in shrunk])


def test_motion_blur_equals_opencv(images):
    kernels = [motion_kernel(5.0, angle) for angle in (0.0, 0.7, 1.6, 2.9)]
    made = device_augment.filter_images(torch.from_numpy(images).float(), torch.from_numpy(np.stack(kernels)))
    expected = [
        cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        for image, kernel in zip(images, kernels, strict=True)
    ]
    assert_within_a_level(made, expected)


def test_gray_equals_opencv(images):
    made = device_augment.to_gray(torch.from_numpy(images).float())
    expected = [cv2.cvtColor(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) for i in images]
    assert_within_a_level(made, expected)


def test_tone_follows_its_formula():
    image = torch.arange(256, dtype=torch.float32).view(1, 16, 16, 1).expand(1, 16, 16, 3)
    parameters = torch.tensor([[2.0]]), torch.tensor([[1.0, 0.5, 2.0]]), torch.tensor([[10.0]])
    made = device_augment.tone(image, *parameters)[0].reshape(256, 3).numpy()
    levels = np.arange(256)
    for channel, gain in enumerate((1.0, 0.5, 2.0)):
        np.testing.assert_allclose(made[:, channel], np.clip(levels**2 / 255 * gain + 10, 0, 255), atol=1e-2)


@pytest.mark.parametrize("side", [64, 52])
def test_jpeg_equals_a_file_but_for_rounding(images, side):
    quality = np.array([25, 40, 60, 84])
    images = np.ascontiguousarray(images[:, :side, :side])
    made = device_augment.jpeg(torch.from_numpy(images).float(), quality).numpy()
    for image, one, q in zip(images, made, quality, strict=True):
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(q)])
        decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR).astype(float)
        # A coefficient halfway between two steps may go either way, which moves its whole block.
        assert np.median(np.abs(one - decoded)) < 0.9
        assert np.abs(one - decoded).mean() < 0.3 * np.abs(image - decoded).mean()


def test_cover_fills_one_rectangle_of_each_image(images):
    low, high = torch.tensor([[3, 5]] * 4), torch.tensor([[20, 30], [20, 30], [20, 30], [0, 0]])
    source, kind = torch.tensor([[40, 20]] * 4), torch.tensor([[0], [1], [2], [0]])
    color, noise = torch.tensor([[1, 2, 3]] * 4), torch.Generator().manual_seed(0)
    made = device_augment.cover(torch.from_numpy(images).float(), low, high, source, kind, color, noise).numpy()
    outside = np.ones((SIDE, SIDE), bool)
    outside[3:20, 5:30] = False
    np.testing.assert_array_equal(made[:, outside], images[:, outside])
    assert (made[0, 3:20, 5:30] == (1, 2, 3)).all()
    assert made[1, 3:20, 5:30].std() == pytest.approx(256 / 12**0.5, rel=0.05)
    np.testing.assert_array_equal(made[2, 3:20, 5:30], images[2, 40:57, 20:45])
    np.testing.assert_array_equal(made[3], images[3])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_images_as_much_as_one_by_one(images, kind):
    # What a change does to level, contrast, color and detail, and what share of pixels it changes: over many draws the
    # mean and the spread of each are those of `augment`.
    config, count = replace(NO_AUGMENT, **{kind: 1.0}), 600
    many = np.repeat(images, count // 4, axis=0)
    rng = np.random.default_rng(1)
    ours, theirs = (
        measures(many, made) for made in (changed(many, config), np.stack([augment(i, config, rng) for i in many]))
    )
    tolerance = np.array([0.6, 0.3, 0.3, 0.3, 0.02]) + 4 * np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / count)
    # `augment` cuts levels off where this rounds: half a level.
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < tolerance).all()
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.25, atol=0.3)


def measures(before, after):
    """(n, 5): level, contrast, color, detail, share of pixels changed by more than two levels."""
    after = after.astype(float)
    color = after.mean(axis=(1, 2))
    detail = np.abs(np.diff(after, axis=1)).mean(axis=(1, 2, 3))
    share = (np.abs(after - before).max(axis=3) > 2).mean(axis=(1, 2))
    return np.column_stack([color.mean(axis=1), after.std(axis=(1, 2, 3)), np.ptp(color, axis=1), detail, share])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_the_stated_share_of_images(images, kind):
    many = np.repeat(images, 100, axis=0)
    made = changed(many, replace(NO_AUGMENT, **{kind: 0.3}))
    assert made.min() >= 0
    assert made.max() <= 255
    assert (made != many).any(axis=(1, 2, 3)).mean() == pytest.approx(0.3, abs=0.08)


def test_the_seed_decides(images):
    everything = replace(AugmentConfig(), **dict.fromkeys(KINDS, 0.7))
    np.testing.assert_array_equal(changed(images, everything, 3), changed(images, everything, 3))
    assert (changed(images, everything, 3) != changed(images, everything, 4)).any()
