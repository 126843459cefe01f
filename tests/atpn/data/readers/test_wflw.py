import numpy as np
import pytest

from atpn.data.readers import wflw
from edge_runtime.landmarks import WFLW_98


def test_faces_come_with_attributes_boxes_and_neighbors(tmp_path, replica):
    drawn = replica.wflw(tmp_path)
    samples = list(wflw.read(tmp_path))
    assert [s.split for s in samples] == ["train"] * 3 + ["test"] * 2
    for sample, face in zip(samples, drawn["train"] + drawn["test"], strict=True):
        np.testing.assert_allclose(sample.labels.landmarks, face.landmarks, atol=1e-4)
        assert sample.labels.scheme is WFLW_98
        np.testing.assert_allclose(sample.labels.boxes["detector"][:2], face.landmarks.min(0), atol=0.51)
    assert samples[3].subsets == ["pose"]
    assert samples[4].labels.attributes["expression"] == "1"
    assert samples[0].labels.neighbors is None
    np.testing.assert_allclose(samples[1].labels.neighbors, [drawn["train"][2].landmarks], atol=1e-4)
    assert samples[1].labels.attributes["identity"] == samples[2].labels.attributes["identity"]
    assert len({s.labels.key for s in samples}) == 5
    assert samples[0].decode().image.shape == (120, 120, 3)
    assert samples[0].labels.image.size == 0


def test_what_is_missing_or_broken_is_told_and_the_rest_read(tmp_path, replica):
    replica.wflw(tmp_path)
    path = tmp_path / "WFLW_annotations" / wflw.LISTS / "list_98pt_rect_attr_train.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], " ".join(lines[1].split()[:100]), lines[2]]))
    (tmp_path / "WFLW_images" / "0--Parade" / "0_Parade_test_1.jpg").unlink()
    issues = []
    assert len(list(wflw.read(tmp_path, issues.append))) == 4
    assert [(f.severity, f.split) for f in issues] == [("corrupt", "train"), ("missing", "test")]
    assert "train.txt line 2" in issues[0].message
    with pytest.raises(ValueError, match=r"corrupt.*line 2"):
        list(wflw.read(tmp_path))
