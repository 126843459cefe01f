"""Crops of many images at once against `extract_crop`."""

import cv2
import numpy as np
import pytest
import torch

from atpn.data.device_images import DeviceImages
from atpn.data.rois import ROIs
from edge_runtime.geometry import ROI, extract_crop

CPU = torch.device("cpu")


@pytest.fixture
def rng():
    return np.random.default_rng(2)


@pytest.fixture
def images(rng):
    """Four sizes, one of a single pixel; smooth enough that a 32nd of a pixel, OpenCV's step, is no gray level."""
    sizes = [(90, 120), (301, 200), (1, 1), (64, 64)]
    return [
        cv2.resize(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), size[::-1], interpolation=cv2.INTER_LINEAR)
        for size in sizes
    ]


@pytest.mark.parametrize("limit", [2**23, 1000])
def test_crops_equal_single_ones_within_a_gray_level(images, rng, monkeypatch, limit):
    monkeypatch.setattr("atpn.data.device_images.MAX_SAMPLES", limit)
    rows = np.array([0, 1, 2, 3, 1, 0, 3, 1])
    flipped = np.array([0, 1, 0, 1, 1, 0, 0, 0], bool)
    # From a third of the crop's size to beyond the largest oversampling; some reach far outside the image.
    sizes = np.array([70.0, 130.0, 12.0, 10.0, 300.0, 64.1, 64.0, 700.0])
    rois = ROIs(rng.uniform(0, 100, 8), rng.uniform(0, 100, 8), sizes, rng.uniform(-3, 3, 8))
    assert set(rois.oversampling(32)) == {1, 2, 3, 5, 8}
    crops = DeviceImages(images, CPU).crops(rows, rois, flipped, 32).round().numpy()
    for k, row in enumerate(rows):
        roi = ROI(rois.cx[k], rois.cy[k], rois.size[k], rois.roll[k])
        expected = extract_crop(images[row], roi, 32)
        expected = expected[:, ::-1] if flipped[k] else expected
        difference = np.abs(crops[k] - expected)
        assert difference.max() <= 2
        assert np.mean(difference > 1) < 0.005


def test_images_that_do_not_fit_are_refused(images, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(ValueError, match=r"4 decoded images take 0 MiB.*use --loader processes"):
        DeviceImages(images, CPU)
