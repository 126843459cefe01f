import json

import cv2
import numpy as np
import pytest

from atpn.data.afw import read_afw


@pytest.fixture
def folder(tmp_path):
    image = np.zeros((20, 30, 3), np.uint8)
    image[..., 2] = 255  # red, as OpenCV writes it
    cv2.imwrite(str(tmp_path / "a.png"), image)
    write(tmp_path, landmarks=68)
    return tmp_path


def write(folder, landmarks=68, width=30):
    faces = [{"landmarks": [[float(i), 2.0] for i in range(landmarks)]}]
    labels = [{"image": "a.png", "width": width, "height": 20, "faces": faces}]
    (folder / "labels.json").write_text(json.dumps(labels))


def test_photos_come_as_rgb_with_their_faces(folder):
    (photo,) = read_afw(folder)
    assert photo.image.shape == (20, 30, 3)
    assert tuple(photo.image[0, 0]) == (255, 0, 0)
    np.testing.assert_array_equal(photo.faces[0][5], [5, 2])


def test_what_does_not_fit_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"labels\.json is missing"):
        list(read_afw(tmp_path / "elsewhere"))
    write(folder, landmarks=67)
    with pytest.raises(ValueError, match=r"\(67, 2\), expected \(68, 2\)"):
        list(read_afw(folder))
    write(folder, width=31)
    with pytest.raises(ValueError, match="30x20 pixels"):
        list(read_afw(folder))
    for damaged in ("", "[1]", "{}", '[{"image": 3}]', '[{"image": "a.png", "faces": null}]', "[" * 100_000):
        (folder / "labels.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"labels\.json"):
            list(read_afw(folder))
    write(folder)
    (folder / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a\.png, listed in .* is missing or not an image"):
        list(read_afw(folder))
