import numpy as np

from atpn.data.readers import wider_face


def test_boxes_flags_and_images_without_faces(tmp_path, replica):
    replica.wider_face(tmp_path)
    issues = []
    samples = list(wider_face.read(tmp_path, issues.append))
    assert [(s.split, len(s.labels.boxes)) for s in samples] == [("train", 1)] * 2 + [
        ("train", 0),
        ("train", 1),
        ("val", 1),
    ]
    first = samples[0].labels
    assert first.boxes["detector"] == (9.5, 19.5, 39.5, 59.5)
    # The invalid face is no sample, but somebody's neighbor; the box without width is neither.
    assert first.neighbors.shape == (2, 4, 2)
    np.testing.assert_array_equal(first.neighbors[0][0], [59.5, 19.5])
    assert samples[1].labels.attributes["blur"] == "1"
    assert samples[1].labels.attributes["occlusion"] == "1"
    empty = samples[2]
    assert empty.labels.outline is None
    assert empty.decode().image.shape == (120, 120, 3)
    assert samples[3].labels.neighbors is None
    assert len({s.labels.key for s in samples}) == 5
    assert [(f.severity, f.split) for f in issues] == [("left out", "train")]
    assert "marked invalid: 1, boxes without width or height: 1" in issues[0].message


def test_a_list_cut_short_is_told(tmp_path, replica):
    replica.wider_face(tmp_path)
    path = tmp_path / "wider_face_split" / "wider_face_train_bbx_gt.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:4]))
    issues = []
    assert [s.split for s in wider_face.read(tmp_path, issues.append)] == ["val"]
    assert issues[0].severity == "corrupt"
    assert "line 1" in issues[0].message
