import numpy as np
import pytest

from atpn.data.readers import ibug300w


def test_parts_become_splits_and_subsets(tmp_path, replica):
    drawn = replica.ibug300w(tmp_path)
    samples = {s.labels.key: s for s in ibug300w.read(tmp_path)}
    assert len(samples) == len(drawn) - 1  # the mirrored copy is passed over
    splits = [(s.split, s.subsets) for s in samples.values()]
    assert [split for split, _ in splits].count("train") == 4
    assert splits.count(("private", ["indoor"])) == 1
    assert samples["300w_lfpw-test_image_0001"].subsets == ["common", "lfpw"]
    blank = samples["300w_ibug_image_092_01"]
    assert blank.subsets == ["challenging"]
    # The files count from 1, the contract from 0.
    np.testing.assert_allclose(blank.labels.landmarks, drawn["ibug/image_092 _01.jpg"].landmarks, atol=1e-4)
    assert blank.decode().image.shape == (120, 120, 3)
    afw = [s.labels.attributes["identity"] for key, s in samples.items() if "afw" in key]
    assert afw == ["afw/134212"] * 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("version: 1\nn_points: 68\n{\n1 2\n3 4\n", "truncated"),
        ("version: 1\nn_points: 68\n{\n1 2\n}\n", "has 1 points"),
        ("version: 1\n{\n1 x\n}\n", "not a .pts file"),
        ("", "has 0 points"),
    ],
)
def test_broken_labels_and_missing_images_are_named(tmp_path, replica, text, complaint):
    replica.ibug300w(tmp_path)
    (tmp_path / "afw" / "134212_1.pts").write_text(text)
    (tmp_path / "helen" / "testset" / "296814969_3.jpg").unlink()
    issues = []
    samples = list(ibug300w.read(tmp_path, issues.append))
    assert len(samples) == 8
    assert [(f.severity, f.split) for f in issues] == [("corrupt", "train"), ("missing", "test")]
    assert complaint in issues[0].message
    assert "296814969_3.pts" in issues[1].message
