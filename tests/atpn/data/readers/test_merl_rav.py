import numpy as np

from atpn.data.readers import merl_rav


def test_coordinates_say_whether_a_landmark_is_seen(tmp_path, replica):
    drawn = replica.merl_rav(tmp_path)
    samples = list(merl_rav.read(tmp_path))
    assert len(samples) == len(drawn) == 20
    for sample in samples:
        _, pose, split, *name = sample.labels.key.split("_")
        face = drawn[pose, split, "_".join(name)]
        view = {"l": ["half-profile"] if "half" in pose else ["profile"], "f": []}["f" if pose == "frontal" else "l"]
        assert (sample.subsets, sample.split) == ([pose, *view], split)
        assert np.isnan(sample.labels.landmarks[0]).all()
        np.testing.assert_allclose(sample.labels.landmarks[1:], face.landmarks[1:], atol=1e-4)
        np.testing.assert_array_equal(sample.labels.visibility, np.arange(68) > 1)
    second = next(s for s in samples if s.labels.key.endswith("_2"))
    assert second.image.path.name == f"{second.labels.attributes['identity']}.jpg"
    assert second.decode().image.shape == (120, 120, 3)


def test_one_coordinate_over_the_edge_is_a_place():
    points, visible = merl_rav.decoded(np.array([[-0.4, 12.0], [-3.0, -4.0], [-1.0, -1.0]]))
    np.testing.assert_allclose(points[:2], [[-1.4, 11.0], [2.0, 3.0]], atol=1e-6)
    assert np.isnan(points[2]).all()
    assert visible.tolist() == [True, False, False]


def test_without_aflw_the_images_are_missing(tmp_path, replica):
    replica.merl_rav(tmp_path)
    (tmp_path / "aflw").rename(tmp_path / "elsewhere")
    issues = []
    assert len(list(merl_rav.read(tmp_path, issues.append))) == 20
    assert {f.severity for f in issues} == {"missing"}
    assert "AFLW's image00000.jpg" in issues[0].message
