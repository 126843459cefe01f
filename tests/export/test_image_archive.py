"""Committed sets of images whose parts do not fit each other."""

import numpy as np
import pytest

from export.crop_set import read_crop_set
from export.errors import ExportError
from export.image_archive import write_archive
from export.image_set import read_image_set

SIZE, COUNT = 16, 2
CROP_LABELS = {
    "landmarks": np.full((COUNT, 98, 2), 0.5, np.float32),
    "pose": np.zeros((COUNT, 3), np.float32),
    "expressions": np.zeros((COUNT, 52), np.float32),
    "gaze": np.zeros((COUNT, 2, 2), np.float32),
}
IMAGE_LABELS = {"regions": np.ones((3, 4)), "wanted": np.ones(3, bool), "faces": np.array([1, 2])}
ABOUT = {"scheme": "wflw98", "origin": {}}


def write(path, labels, about, images=None):
    write_archive(path, images or [np.zeros((SIZE, SIZE, 3), np.uint8)] * COUNT, labels, about)


@pytest.mark.parametrize(
    ("labels", "about"),
    [
        ({"landmarks": np.zeros((COUNT, 68, 2))}, {}),
        ({"pose": np.zeros((1, 3))}, {}),
        ({"expressions": np.zeros((COUNT, 51))}, {}),
        ({"gaze": np.zeros((COUNT, 4))}, {}),
        ({}, {"scheme": "unknown"}),
        ({}, {"scheme": 5}),
        ({}, {"scheme": None}),
    ],
)
def test_a_crop_set_whose_parts_do_not_fit_is_damaged(tmp_path, labels, about):
    path = tmp_path / "crops.npz"
    write(path, CROP_LABELS, ABOUT)
    assert len(read_crop_set(path, SIZE).crops) == COUNT
    write(path, CROP_LABELS | labels, ABOUT | about)
    with pytest.raises(ExportError, match=r"crops\.npz is damaged or not made by calibration-set"):
        read_crop_set(path, SIZE)


@pytest.mark.parametrize(
    "labels",
    [
        {"regions": np.ones((3, 5))},
        {"wanted": np.ones(2, bool)},
        {"faces": np.array([3])},
        {"faces": np.array([-1, 4])},
        {"faces": np.array([np.inf, 1])},
        {"faces": np.array(["a", "b"])},
    ],
)
def test_an_image_set_whose_parts_do_not_fit_is_damaged(tmp_path, labels):
    path = tmp_path / "images.npz"
    write(path, IMAGE_LABELS, ABOUT)
    assert [len(each.regions) for each in read_image_set(path, SIZE).composites] == [1, 2]
    write(path, IMAGE_LABELS | labels, ABOUT)
    with pytest.raises(ExportError, match=r"images\.npz is damaged or not made by image-set"):
        read_image_set(path, SIZE)


@pytest.mark.parametrize(("labels", "read"), [(CROP_LABELS, read_crop_set), (IMAGE_LABELS, read_image_set)])
def test_a_set_without_its_origin_or_with_images_of_two_sizes_is_damaged(tmp_path, labels, read):
    path = tmp_path / "set.npz"
    write(path, labels, {"scheme": "wflw98"})
    with pytest.raises(ExportError, match=r"set\.npz is damaged .*'origin'"):
        read(path, SIZE)
    write(path, labels, ABOUT, [np.zeros((side, side, 3), np.uint8) for side in (SIZE, 2 * SIZE)])
    with pytest.raises(ExportError, match=r"set\.npz is damaged .*different sizes"):
        read(path, SIZE)
