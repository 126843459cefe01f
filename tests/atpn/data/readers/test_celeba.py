import numpy as np
import pytest

from atpn.data.readers import celeba
from edge_runtime.landmarks import CELEBA_5


@pytest.mark.parametrize("edition", ["celeba", "align_celeba"])
def test_points_splits_identities_and_mafl(tmp_path, replica, edition):
    drawn = replica.celeba(tmp_path, edition=edition)
    samples = list(celeba.read(tmp_path))
    assert [s.split for s in samples] == ["train", "val", "test"] * 2
    for sample, face in zip(samples, drawn.values(), strict=True):
        np.testing.assert_array_equal(sample.labels.landmarks, face.landmarks)
        assert sample.labels.scheme is CELEBA_5
    assert [s.subsets for s in samples[:3]] == [["mafl-train"], ["mafl-test"], []]
    assert samples[0].labels.attributes["identity"] == samples[1].labels.attributes["identity"] == "1000"
    # The aligned images have no boxes; the first photograph's is empty.
    boxes = [s.labels.boxes.get("detector") for s in samples[:2]]
    assert boxes == [None, (9.5, 19.5, 59.5, 79.5) if edition == "celeba" else None]


def test_half_a_download(tmp_path, replica):
    replica.celeba(tmp_path)
    (tmp_path / "Img" / "img_celeba" / "000002.jpg").unlink()
    (tmp_path / "Eval" / "list_eval_partition.txt").unlink()
    issues = []
    samples = list(celeba.read(tmp_path, issues.append))
    assert {s.split for s in samples} == {"unsplit"}
    assert [f.message.split("/")[-1] for f in issues] == ["list_eval_partition.txt, the splits", "000002.jpg"]
