import numpy as np

from atpn.data.readers import biwi
from edge_runtime.geometry import matrix_to_angles


def test_poses_are_the_color_cameras(tmp_path, replica):
    drawn = replica.biwi(tmp_path)
    issues = []
    samples = list(biwi.read(tmp_path, issues.append))
    assert len(samples) == 6
    assert len(issues) == 22  # the sequences that are not there
    for sample, ground_truth in zip(samples, drawn.values(), strict=True):
        np.testing.assert_allclose(sample.labels.rotation, ground_truth.rotation, atol=2e-5)
        left, top, right, bottom = sample.labels.boxes["head"]
        np.testing.assert_allclose([(left + right) / 2, (top + bottom) / 2], ground_truth.pixel, atol=1e-3)
        np.testing.assert_allclose(right - left, 2 * ground_truth.reach, atol=1e-3)
        assert sample.labels.landmarks is None
        assert sample.labels.intrinsics.fx == 517.679
    assert [s.labels.attributes["identity"] for s in samples[::3]] == ["F01", "M01"]
    assert samples[0].decode().image.shape == (480, 640, 3)


def test_the_published_sample_turns_right_and_tilts_left():
    """Frame 3 of sequence 12: the same head by the formulas with which others report this dataset."""
    matrix = np.array(
        [[0.980639, 0.109899, 0.162077], [-0.11023, 0.993882, -0.00697376], [-0.161851, -0.011027, 0.986754]]
    )
    transposed = matrix.T
    pitch = np.arctan2(transposed[2, 1], transposed[2, 2])
    yaw = -np.arctan2(-transposed[2, 0], np.hypot(transposed[2, 1], transposed[2, 2]))
    roll = -np.arctan2(transposed[1, 0], transposed[0, 0])
    # Theirs has 300W-LP's yaw sign, and another order of the rotations.
    np.testing.assert_allclose(np.degrees(matrix_to_angles(matrix)), np.degrees([pitch, -yaw, roll]), atol=0.2)


def test_gaps_are_no_fault_but_half_a_frame_is(tmp_path, replica):
    replica.biwi(tmp_path)
    (tmp_path / "01" / "frame_00003_pose.txt").unlink()
    (tmp_path / "01" / "frame_00004_pose.txt").write_text("1 0 0\n0 1 0\n")
    (tmp_path / "22" / "frame_00003_rgb.png").unlink()
    issues = []
    assert len(list(biwi.read(tmp_path, issues.append))) == 4
    found = [(f.severity, f.message) for f in issues if "sequence" not in f.message]
    assert [fault for fault, _ in found] == ["missing", "corrupt", "missing"]
    assert "6 numbers, expected 12" in found[1][1]
