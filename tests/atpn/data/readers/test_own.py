import json

import cv2
import numpy as np
import pytest

from atpn.data.readers import own
from edge_runtime.geometry import matrix_to_angles


@pytest.fixture
def folder(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 60, 3), np.uint8))
    return tmp_path


def test_json_with_everything(folder):
    face = {
        "landmarks": [[1, 2], [3, 2], None, [1, 5], [3, 5]],
        "visibility": [1, 1, 0, 1, 1],
        "box": [1, 1, 9, 9],
        "pose": [10, -20, 30],
        "identity": "ann",
        "mood": "good",
    }
    entries = [
        {"image": "a.png", "split": "test", "faces": [face, {"landmarks": [[8, 8]] * 5}]},
        {"image": "a.png", "faces": []},
    ]
    (folder / "labels.json").write_text(json.dumps({"first_pixel": 1, "images": entries}))
    first, second, empty = (s.labels for s in own.read(folder))
    np.testing.assert_array_equal(first.landmarks[[0, 4]], [[0, 1], [2, 4]])
    assert np.isnan(first.landmarks[2]).all()
    assert (first.scheme, first.visibility.tolist()) == ("celeba5", [True, True, False, True, True])
    assert first.boxes["detector"] == (0, 0, 8, 8)
    np.testing.assert_allclose(np.degrees(matrix_to_angles(first.rotation)), [10, -20, 30], atol=1e-9)
    assert first.attributes == {"split": "test", "identity": "ann"}
    np.testing.assert_array_equal(first.neighbors, [[[7, 7]] * 5])
    assert second.attributes["identity"] == "a.png"
    assert (empty.outline, empty.attributes["split"]) == (None, "all")


def test_csv_gathers_the_faces_of_a_image(folder):
    names = ",".join(f"x{i},y{i}" for i in range(5))
    rows = [f"image,split,{names}", "a.png,train,1,2,3,2,2,3,1,5,3,5", "a.png,train,11,2,13,2,12,3,11,5,,"]
    (folder / "labels.csv").write_text("\n".join(rows))
    samples = list(own.read(folder))
    np.testing.assert_array_equal(samples[0].labels.landmarks, [[1, 2], [3, 2], [2, 3], [1, 5], [3, 5]])
    assert np.isnan(samples[1].labels.landmarks[4]).all()
    assert samples[0].labels.neighbors.shape == (1, 5, 2)
    assert samples[1].split == "train"
    assert samples[0].decode().image.shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is not in the format"),
        ('{"scheme": "mine", "images": []}', "unknown scheme 'mine'"),
        ('[{"image": "a.png", "faces": [{"landmarks": [[1, 2]]}]}]', r"1 landmarks, expected 98 \(wflw98\) or 68"),
        ('[{"image": "a.png", "faces": [{}]}]', "neither landmarks nor a box"),
        ('[{"image": "b.png", "faces": []}]', "missing: .*b.png"),
        ('["a.png"]', "image 1"),
    ],
)
def test_what_is_wrong_is_told(folder, content, complaint):
    (folder / "labels.json").write_text(content)
    with pytest.raises(ValueError, match=complaint):
        list(own.read(folder))
