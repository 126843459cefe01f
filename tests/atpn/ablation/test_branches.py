from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from atpn.ablation.branches import PoseReadout, pose_agreement, write_background_sheet
from atpn.data.store import SampleStore
from atpn.evaluate.inference import Predictions
from edge_runtime.landmarks import WFLW_98


def test_the_readout_finds_a_linear_pose():
    rng = np.random.default_rng(0)
    landmarks, weights = rng.normal(0, 0.1, (400, 5, 2)), rng.normal(0, 1, (10, 3))
    pose = landmarks.reshape(400, 10) @ weights + (0.1, -0.2, 0.3)
    found = PoseReadout(landmarks[:300], pose[:300]).predict(landmarks[300:])
    np.testing.assert_allclose(found, pose[300:], atol=5e-3)


class Network:
    """Landmarks that follow a crop's mean gray; pose that follows the landmarks, or not on backgrounds."""

    def __init__(self, faces, follows):
        shape = np.random.default_rng(0).uniform(0.2, 0.8, (98, 2))
        self.spec = SimpleNamespace(input_size=48, mean_shape=shape, landmark_scheme=WFLW_98)
        self.faces, self.follows, self.rng = faces, follows, np.random.default_rng(1)

    def predict(self, crops):
        directions = np.random.default_rng(2).normal(0, 1, (3, 98, 2))
        pose = np.stack([crops[..., c].mean(axis=(1, 2)) / 255 - 0.5 for c in range(3)], axis=1)
        landmarks = self.spec.mean_shape + np.einsum("nc,cij->nij", pose, directions)
        if len(crops) != self.faces and not self.follows:
            pose = self.rng.normal(0, 0.2, pose.shape)
        return Predictions(landmarks, np.zeros((len(crops), 98)), pose, np.ones(len(crops)))


@pytest.mark.parametrize("follows", [True, False])
def test_pose_that_follows_the_landmarks_is_told_from_one_that_does_not(face_shards, follows):
    store = SampleStore.read(face_shards)
    report = pose_agreement(Network(len(store.faces), follows), store, 100)
    assert report["crops"] == 16
    correlations = [report[name] for name in ("pitch", "yaw", "roll")]
    assert (min(correlations) > 0.95) if follows else (np.mean(correlations) < 0.7)
    assert (report["difference"] < 1) == follows


def test_backgrounds_are_drawn_with_what_the_network_sees_there(face_shards, tmp_path):
    store = SampleStore.read(face_shards)
    write_background_sheet(tmp_path / "sheet.png", Network(len(store.faces), True), store)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (224, 5 * 224, 3)  # four backgrounds in a row of five
    green = sheet.astype(int) - (80, 255, 80)
    tiles = np.split(np.abs(green).max(axis=2) < 20, 5, axis=1)
    assert [bool(tile.sum() > 200) for tile in tiles] == [True] * 4 + [False]
