import cv2
import numpy as np
import pytest

from atpn.data.crops import cut_crop
from atpn.data.readers import w300lp
from edge_runtime.geometry import ROI, matrix_to_angles
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert


@pytest.mark.parametrize("seed", range(5))
def test_the_rotation_moves_points_as_the_authors_model_does(seed):
    """Their way, by another formula: turn clockwise about each axis, y up; then look at the image, y down."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform([-0.5, -1.5, -0.8], [0.5, 1.5, 0.8])
    x, y, z = (cv2.Rodrigues(-angle * axis)[0] for angle, axis in zip(angles, np.eye(3), strict=True))
    points = rng.normal(size=(8, 3))  # x right, y up, z out of the face
    theirs = points @ (x @ y @ z).T
    ours = (points * (1, -1, -1)) @ w300lp.head_to_camera(*angles).T
    np.testing.assert_allclose(ours, theirs * (1, -1, -1), atol=1e-12)


def test_signs_against_the_contracts():
    for index, sign in ((0, 1), (1, -1), (2, 1)):
        given, expected = np.zeros(3), np.zeros(3)
        given[index], expected[index] = 0.4, sign * 0.4
        np.testing.assert_allclose(matrix_to_angles(w300lp.head_to_camera(*given)), expected, atol=1e-12)


def test_300w_lp_gives_landmarks_pose_and_300ws_split(tmp_path, replica):
    drawn = replica.w300lp(tmp_path / "300W_LP")
    replica.ibug300w(tmp_path / "300W")
    samples = {s.labels.key: s for s in w300lp.read_300w_lp(tmp_path / "300W_LP")}
    assert len(samples) == len(drawn) == 24
    for (folder, stem), face in drawn.items():
        sample = samples[f"300w-lp_{folder}_{stem}"]
        np.testing.assert_allclose(sample.labels.landmarks, face.landmarks, atol=1e-3)
        np.testing.assert_allclose(sample.labels.rotation, face.rotation, atol=1e-5)
    kinds = {key.removeprefix("300w-lp_"): (s.split, s.subsets) for key, s in samples.items()}
    assert kinds["AFW_AFW_134212_1_0"] == ("train", ["afw", "original"])
    assert kinds["AFW_AFW_134212_1_3"] == ("train", ["afw"])
    assert kinds["AFW_Flip_AFW_134212_1_0"] == ("train", ["afw"])
    assert kinds["HELEN_HELEN_296814969_3_0"] == ("test", ["helen", "common", "original"])
    assert kinds["HELEN_HELEN_100032540_1_0"] == ("train", ["helen", "original"])
    assert kinds["IBUG_IBUG_image_003_1_0"] == ("test", ["ibug", "challenging", "original"])
    assert kinds["LFPW_LFPW_image_test_0001_3"] == ("test", ["lfpw", "common"])
    assert len({s.labels.attributes["identity"] for s in samples.values()}) == 6


@pytest.mark.parametrize("roll", [-80, -45, 0, 45, 80])
@pytest.mark.parametrize("yaw", [-85, 0, 40])
def test_a_image_turned_over_is_noticed_at_any_roll(draw_sample, yaw, roll):
    sample = draw_sample(np.random.default_rng(0), size=450, angles=np.radians([10, yaw, roll]))
    points = convert(sample.landmarks, WFLW_98, IBUG_68)
    turned = np.column_stack([points[:, 0], 451 - points[:, 1]])
    for given in (points, turned):
        np.testing.assert_allclose(w300lp.y_down(given, sample.rotation), points, atol=1e-4)


def test_the_pose_holds_wherever_the_face_is(tmp_path, replica):
    drawn = replica.aflw2000(tmp_path)
    sample = next(w300lp.read_aflw2000(tmp_path)).decode()
    crop = cut_crop(sample, ROI(60.0, 400.0, 100.0), 64)
    np.testing.assert_allclose(crop.pose, matrix_to_angles(drawn["image00002"].rotation), atol=1e-3)


def test_without_300w_helens_split_is_unknown(tmp_path, replica):
    replica.w300lp(tmp_path / "300W_LP")
    splits = {s.labels.attributes["identity"].split("/")[0]: s.split for s in w300lp.read_300w_lp(tmp_path / "300W_LP")}
    assert splits == {"AFW": "train", "HELEN": "unsplit", "IBUG": "test", "LFPW": "train"}


def test_aflw2000_leaves_wild_angles_out(tmp_path, replica):
    drawn = replica.aflw2000(tmp_path)
    (tmp_path / "image00006.mat").write_bytes(b"truncated")
    issues = []
    (sample,) = w300lp.read_aflw2000(tmp_path, issues.append)
    np.testing.assert_allclose(sample.labels.landmarks, drawn["image00002"].landmarks, atol=1e-3)
    np.testing.assert_allclose(sample.labels.rotation, drawn["image00002"].rotation, atol=1e-5)
    assert [(f.severity, f.message.split(":")[0].split("/")[-1]) for f in issues] == [
        ("left out", "image00004.mat"),
        ("corrupt", "image00006.mat"),
    ]


def test_the_datasets_angles_come_back():
    for angles in ((0.2, -0.7, 0.4), (-1.2, 1.5, -2.0), (0.0, 0.0, 0.0)):
        np.testing.assert_allclose(w300lp.dataset_angles(w300lp.head_to_camera(*angles)), angles, atol=1e-9)
