"""Calibration files of OpenCV and plain JSON."""

import json
import os

import cv2
import numpy as np
import pytest

from edge_runtime import Calibration, Intrinsics
from edge_runtime.errors import CalibrationError

MATRIX = np.array([[800.0, 0, 330], [0, 810, 250], [0, 0, 1]])
PLAIN = {"fx": 800, "fy": 810.0, "cx": 330, "cy": 250.0, "width": 640, "height": 480}


def opencv_file(path, matrix=MATRIX, width=640, height=480):
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("calibration_time", "some day")
    storage.write("image_width", width)
    storage.write("image_height", height)
    storage.write("camera_matrix", matrix)
    storage.write("distortion_coefficients", np.zeros((5, 1)))
    storage.release()
    return path


@pytest.mark.parametrize("suffix", ["yml", "yaml", "xml", "json"])
def test_opencvs_own_files_are_read(tmp_path, suffix):
    found = Calibration.read(opencv_file(tmp_path / f"camera.{suffix}"))
    assert found == Calibration(Intrinsics(800, 810, 330, 250), 640, 480)


def test_six_plain_numbers_are_read(tmp_path):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(PLAIN))
    assert Calibration.read(path) == Calibration(Intrinsics(800, 810, 330, 250), 640, 480)


@pytest.mark.parametrize("size", [(640, 480), (1280, 960), (320, 240), (854, 640)])
def test_in_another_size_the_same_place_has_the_same_ray(size):
    calibration = Calibration(Intrinsics(800, 810, 330, 250), 640, 480)
    camera = calibration.at(*size)
    for x, y in ((0.0, 0.0), (500.0, 100.0), (639.0, 479.0)):
        there = (np.array([x, y]) + 0.5) / (640, 480) * size - 0.5
        assert camera.ray(*there) == pytest.approx(calibration.intrinsics.ray(x, y))


@pytest.mark.parametrize("size", [(1280, 720), (480, 640), (640, 360)])
def test_another_aspect_ratio_is_another_part_of_the_sensor(size):
    with pytest.raises(CalibrationError, match=rf"calibrated at 640 x 480, the frames have {size[0]} x {size[1]}"):
        Calibration(Intrinsics(800, 810, 330, 250), 640, 480).at(*size)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param(
            {"fx": 3.6, "fy": 3.6}, r"178\.7 degrees over 640 px, expected 1 to 170; give fx and fy", id="millimeters"
        ),
        pytest.param({"fx": 8e5}, r"0\.0 degrees over", id="a telescope"),
        pytest.param({"fx": -800}, "positive focal lengths", id="negative"),
        pytest.param({"cx": 5000}, "principal point must lie in the image", id="another image's center"),
        pytest.param({"cy": None}, "no number cy; expected camera_matrix", id="a number short"),
        pytest.param({"width": "640"}, "no number width", id="text"),
        pytest.param({"width": 640.5}, r"whole numbers, got 640\.5 x 480", id="half a pixel"),
        pytest.param({"height": 0}, "1 to 32767 px, got 640 x 0", id="no size"),
    ],
)
def test_read_rejects_numbers_that_are_not_a_camera(tmp_path, changed, message):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({key: value for key, value in (PLAIN | changed).items() if value is not None}))
    with pytest.raises(CalibrationError, match=message) as caught:
        Calibration.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "matrix",
    [MATRIX[:2], MATRIX.T, np.eye(4), MATRIX + np.eye(3, k=1) * (0, 30, 0)],
    ids=["2 x 3", "transposed", "4 x 4", "skewed"],
)
def test_read_rejects_matrices_that_are_not_pinhole_cameras(tmp_path, matrix):
    with pytest.raises(CalibrationError, match="camera_matrix must be a 3 x 3 matrix"):
        Calibration.read(opencv_file(tmp_path / "camera.yml", matrix))


@pytest.mark.parametrize("content", [b"", b"hello", b'{"fx": 800, "fy', b'{"fx": NaN}', b"\xff\xfe\x00\x01", b"[1, 2]"])
def test_read_rejects_other_files(tmp_path, content):
    path = tmp_path / "camera.json"
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match="is not YAML, XML or JSON"):
        Calibration.read(path)


def test_read_rejects_truncated_files(tmp_path):
    path = opencv_file(tmp_path / "camera.yml")
    path.write_text(path.read_text()[:-150])
    with pytest.raises(CalibrationError):
        Calibration.read(path)
    with pytest.raises(OSError, match="absent"):
        Calibration.read(tmp_path / "absent.yml")


DEEP = 300_000


@pytest.mark.parametrize(
    "content",
    [
        pytest.param('{"a":' + "[" * DEEP + "]" * DEEP + "}", id="JSON"),
        pytest.param('{"a":' * DEEP + "1" + "}" * DEEP, id="JSON objects"),
        pytest.param("%YAML:1.0\n---\na: " + "[" * DEEP, id="YAML"),
        pytest.param("%YAML:1.0\n---\na:\n  " + "- " * DEEP + "1\n", id="YAML lists"),
        pytest.param("%YAML:1.0\n---\n" + "a: " * DEEP + "1\n", id="YAML maps"),
        pytest.param('<?xml version="1.0"?><opencv_storage>' + "<a>" * DEEP + "1" + "</a>" * DEEP, id="XML"),
    ],
)
def test_read_rejects_deep_nesting_before_it_is_parsed(tmp_path, content):
    path = tmp_path / "camera.yml"
    path.write_text(content)
    with pytest.raises(CalibrationError, match="more than 2000 entries"):
        Calibration.read(path)


def test_read_rejects_a_top_level_list(tmp_path):
    path = tmp_path / "camera.yml"
    path.write_text("%YAML:1.0\n---\n- 1\n- 2\n")
    with pytest.raises(CalibrationError, match="is a list"):
        Calibration.read(path)


@pytest.mark.parametrize("rows", ["30000", "-3", "text"])
def test_read_does_not_make_a_matrix_of_the_declared_size(tmp_path, rows):
    path = tmp_path / "camera.yml"
    matrix = f"camera_matrix: !!opencv-matrix\n  rows: {rows}\n  cols: 30000\n  dt: d\n  data: [ 1, 2 ]\n"
    path.write_text("%YAML:1.0\n---\nimage_width: 640\nimage_height: 480\n" + matrix)
    with pytest.raises(CalibrationError, match="must be a 3 x 3 matrix"):
        Calibration.read(path)


def test_read_rejects_pipes_devices_and_large_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)  # sparse
    for path, message in ((tmp_path / "pipe", "not a regular file"), ("/dev/zero", "not a regular file")):
        with pytest.raises(CalibrationError, match=message):
            Calibration.read(path)
    with pytest.raises(CalibrationError, match="at most 4194304 are read"):
        Calibration.read(tmp_path / "large")
