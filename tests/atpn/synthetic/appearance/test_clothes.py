"""Cloth is cut out of textures of clothes, and worn around the neck."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from atpn.synthetic.appearance.clothes import PATCH, cloth_pieces, load_cloth, sample_torso
from atpn.synthetic.heads.procedural import procedural_head
from edge_runtime.geometry import angles_to_matrix


def _texture():
    """Red cloth of two levels in the upper left quarter of a flat ground."""
    image = np.full((512, 512, 3), 200, np.uint8)
    threads = np.random.default_rng(0).integers(0, 2, (256, 256, 1), np.uint8) * 40
    image[:256, :256] = np.array([120, 20, 20], np.uint8) + threads
    return image


def test_pieces_come_from_the_cloth_and_not_from_the_ground():
    pieces = cloth_pieces(_texture())
    assert len(pieces) == 4  # windows of 192 pixels at 0 and 64, each way
    for piece in pieces:
        assert piece.shape == (PATCH, PATCH, 3)
        assert piece[..., 0].mean() > 2 * piece[..., 1].mean()
    assert cloth_pieces(np.full((512, 512, 3), 90, np.uint8)) == []


def test_a_folder_of_clothes_is_read_and_a_broken_image_named(tmp_path):
    assert load_cloth(tmp_path / "nothing") == []
    (tmp_path / "suit").mkdir()
    cv2.imwrite(str(tmp_path / "suit" / "a.jpg"), _texture()[:, :, ::-1])
    assert len(load_cloth(tmp_path)) == 4
    (tmp_path / "suit" / "b.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"b\.jpg is not an image"):
        load_cloth(tmp_path)


def test_a_torso_hangs_below_the_chin_around_the_neck():
    head = procedural_head()
    landmarks = head.landmarks.at(head.neutral)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        mesh, color = sample_torso(head.neutral, np.zeros(3), cloth_pieces(_texture()), rng)
        assert np.isfinite(mesh.points).all()
        assert mesh.texture.dtype == np.uint8
        assert (color > 0).all()
        assert (color <= 1).all()
        low, high = mesh.points.min(axis=0), mesh.points.max(axis=0)
        face = np.ptp(landmarks[:33, 0])
        assert 1.5 * face < high[0] - low[0] < 4 * face
        assert low[1] > landmarks[54, 1]  # it covers no nose
        assert high[1] > landmarks[16, 1] + 15


def test_a_body_turns_back_towards_the_camera():
    head, yaw = procedural_head(), 0.6

    def facing(turn):
        angles = np.array([0.0, turn, 0.0])
        mesh, _ = sample_torso(head.neutral, angles, [], np.random.default_rng(4))
        grid = mesh.points.reshape(20, 65, 3)[-1]  # the hem: from the middle of the back around to the front
        ahead = angles_to_matrix(angles) @ (grid[32] - grid[0])
        return np.arctan2(ahead[0], -ahead[2])  # to the image's right, seen by the camera

    # The body follows the head, but not all the way.
    assert facing(-yaw) < facing(0.0) < facing(yaw)
    assert facing(yaw) - facing(0.0) < 0.9 * yaw
