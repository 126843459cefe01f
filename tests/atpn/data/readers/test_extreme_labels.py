"""Labels of every dataset that are out of range, not in a regular file, or of images with impossible names."""

import os
import re

import h5py
import numpy as np
import pytest
import scipy.io

from atpn.data.readers import images
from atpn.data.readers.registry import DATASETS

WRITERS = {"300w": "ibug300w", "300w-lp": "w300lp", "aflw2000-3d": "aflw2000", "300vw": "w300vw"}
TEXTS = {
    "wflw": "WFLW_annotations/**/*train.txt",
    "300w": "afw/*.pts",
    "merl-rav": "**/frontal/trainset/**/*.pts",
    "biwi": "01/*pose.txt",
    "wider-face": "wider_face_split/*train*.txt",
    "300vw": "001/annot/*.pts",
    "celeba": "**/list_landmarks*.txt",
    "london": "**/*.tem",
}
"""A text file with coordinates, by dataset."""
MATLAB_FILES = {"cofw": "COFW_train_color.mat", "300w-lp": "AFW/*.mat", "aflw2000-3d": "*.mat"}


@pytest.fixture
def dataset(tmp_path, replica):
    """Write a dataset; return what reads its samples and issues."""

    def written(name):
        getattr(replica, WRITERS.get(name, name.replace("-", "_")))(tmp_path)

        def read():
            issues = []
            return list(DATASETS[name].read(tmp_path, issues.append)), issues

        return read

    return written


def check_one_is_corrupt(read, before, path):
    samples, issues = read()
    assert len(samples) < len(before)
    (corrupt,) = (issue for issue in issues if issue.severity == "corrupt")
    assert path.name in corrupt.message


@pytest.mark.parametrize("number", ["1e300", "-2000001"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_coordinate_out_of_range_is_corrupt(tmp_path, dataset, name, number):
    read = dataset(name)
    before, _ = read()
    path = min(tmp_path.glob(TEXTS[name]))
    text = path.read_text()
    numbers = list(re.finditer(r"(?<=[ \t])-?\d+(\.\d+)?(?=\s)", text))
    place = numbers[-1] if path.suffix == ".pts" else numbers[0]  # these begin with a count
    path.write_text(text[: place.start()] + number + text[place.end() :])
    check_one_is_corrupt(read, before, path)


def test_a_coordinate_out_of_range_is_corrupt_in_matlab_files(tmp_path, dataset):
    read = dataset("cofw")
    before, _ = read()
    with h5py.File(tmp_path / "COFW_train_color.mat", "a") as file:
        file["phisTr"][0, 1] = 1e300
    check_one_is_corrupt(read, before, tmp_path / "COFW_train_color.mat")


@pytest.mark.parametrize(("name", "array"), [("300w-lp", "pt2d"), ("aflw2000-3d", "pt3d_68")])
def test_a_landmark_out_of_range_is_corrupt_in_matlab_files(tmp_path, dataset, name, array):
    read = dataset(name)
    before, issues = read()
    known = sum(issue.severity == "corrupt" for issue in issues)
    path = min(tmp_path.glob(MATLAB_FILES[name]))
    content = scipy.io.loadmat(path)
    content[array] = np.array(content[array], np.float64)
    content[array][0, 0] = 1e300
    scipy.io.savemat(path, {key: value for key, value in content.items() if not key.startswith("__")})
    samples, issues = read()
    assert len(samples) == len(before) - 1
    assert sum(issue.severity == "corrupt" for issue in issues) == known + 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes by name")
@pytest.mark.parametrize("name", MATLAB_FILES)
def test_a_pipe_in_the_place_of_a_matlab_file_is_corrupt(tmp_path, dataset, name):
    read = dataset(name)
    path = min(tmp_path.glob(MATLAB_FILES[name]))
    path.unlink()
    os.mkfifo(path)
    _, issues = read()
    assert any(
        issue.severity == "corrupt" and f"{path.name} is not a regular file" in issue.message for issue in issues
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes by name")
@pytest.mark.parametrize("source", [images.VideoFrame, lambda path, index: images.HDF5Image(path, "IsT", index)])
def test_a_pipe_has_no_frames(tmp_path, source):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is not a regular file"):
        source(tmp_path / "pipe", 0).read()


@pytest.mark.parametrize(("name", "image"), [("wflw", "0--Parade/"), ("wider-face", "0--Parade/")])
def test_an_image_whose_name_is_too_long_is_missing(tmp_path, dataset, name, image):
    read = dataset(name)
    path = min(tmp_path.glob(TEXTS[name]))
    path.write_text(path.read_text().replace(image, f"{image}{'x' * 300}", 1))
    samples, issues = read()
    assert samples
    assert [issue.severity for issue in issues][:1] == ["missing"]
