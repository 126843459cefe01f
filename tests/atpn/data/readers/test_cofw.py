import numpy as np

from atpn.data.readers import cofw


def test_arrays_of_matlab_come_back_as_images_and_landmarks(tmp_path, replica):
    drawn = replica.cofw(tmp_path)
    samples = list(cofw.read(tmp_path))
    assert [s.split for s in samples] == ["train"] * 3 + ["test"] * 2 + ["test68"] * 2
    for sample, face in zip(samples, drawn["train"] + drawn["test"], strict=False):
        np.testing.assert_allclose(sample.labels.landmarks, face.landmarks, atol=1e-4)
        np.testing.assert_array_equal(sample.labels.visibility, np.arange(29) % 3 != 0)
        # MATLAB's pixel (11, 21) is the contract's (10, 20), whose outer edge is half a pixel away.
        assert sample.labels.boxes["detector"] == (9.5, 19.5, 59.5, 79.5)
    np.testing.assert_array_equal(samples[1].decode().image, drawn["train"][1].image)
    gray = samples[0].decode().image
    assert gray.shape == (120, 120, 3)
    np.testing.assert_array_equal(gray[..., 0], gray[..., 2])
    for index, sample in enumerate(samples[5:]):
        np.testing.assert_allclose(sample.labels.landmarks, drawn["test68"][index], atol=1e-4)
        assert (sample.labels.scheme.name, list(np.flatnonzero(~sample.labels.visibility))) == ("ibug68", [index])
        np.testing.assert_array_equal(sample.decode().image, drawn["test"][index].image)
    assert samples[0].subsets == ["lfpw"]


def test_cut_short_and_incomplete_files_are_named(tmp_path, replica):
    replica.cofw(tmp_path)
    path = tmp_path / "COFW_train_color.mat"
    path.write_bytes(path.read_bytes()[:2000])
    (tmp_path / "COFW68_Data" / "test_annotations" / "2_points.mat").write_bytes(b"MATLAB 5.0")
    issues = []
    samples = list(cofw.read(tmp_path, issues.append))
    assert [s.split for s in samples] == ["test", "test", "test68"]
    assert [(f.severity, f.split) for f in issues] == [("corrupt", "train"), ("corrupt", "test68")]


def test_cofw68_may_be_absent(tmp_path, replica):
    replica.cofw(tmp_path, with_68=False)
    issues = []
    assert len(list(cofw.read(tmp_path, issues.append))) == 5
    assert [f.severity for f in issues] == ["left out"]
