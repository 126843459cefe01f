import numpy as np
import pytest

from edge_runtime.face import Pose


def test_pose_angles_come_back():
    assert Pose.from_angles(0.1, -0.7, 0.4).angles == pytest.approx((0.1, -0.7, 0.4))


def test_identity_looks_into_the_camera():
    assert Pose(np.eye(3)).angles == (0, 0, 0)
