import json

import cv2
import numpy as np
import pytest

from atpn.__main__ import main
from atpn.data.store import SampleStore
from atpn.evaluate.backend import CheckpointBackend
from atpn.evaluate.head_shape import RIGID_POINTS, landmark_angle_error, mean_head_shape, pose_from_landmarks
from atpn.evaluate.inference import predict
from atpn.evaluate.videos import VideosConfig, compare, follow
from atpn.model import load_checkpoint
from edge_runtime.geometry import ROI
from edge_runtime.options import TrackerOptions
from edge_runtime.tracker import FaceTracker


@pytest.fixture(scope="module")
def store(face_shards):
    return SampleStore.read(face_shards)


def test_the_mean_head_is_recovered_from_labels(store, draw_sample):
    shape = mean_head_shape(store)
    left, inner_left, inner_right, right = shape[:4]
    np.testing.assert_allclose([right[0], inner_right[0]], [-left[0], -inner_left[0]], rtol=0.05)
    assert left[0] < inner_left[0] < 0
    # The drawn faces all have these eyes and this nose, so the true ratios are known.
    assert inner_left[0] / left[0] == pytest.approx(0.3 / 0.65, rel=0.03)
    tip, bridge = shape[RIGID_POINTS.index(54)], shape[RIGID_POINTS.index(51)]
    assert tip[2] < bridge[2]  # the nose points toward the camera
    errors = landmark_angle_error(store, shape)
    assert max(errors.values()) < 0.5
    angles = np.radians([12.0, -25.0, 8.0])
    sample = draw_sample(np.random.default_rng(5), angles=angles, center=(50, 100))  # off the optical axis
    np.testing.assert_allclose(pose_from_landmarks(sample.landmarks, shape, sample.intrinsics), angles, atol=0.01)


def test_too_few_posed_faces_are_refused(store, monkeypatch):
    monkeypatch.setattr(store, "faces", store.faces[:5])
    with pytest.raises(ValueError, match="the mean head needs 12"):
        mean_head_shape(store)


def test_a_checkpoint_runs_behind_the_runtimes_interface(tiny_weights):
    model = load_checkpoint(tiny_weights)[0]
    backend, crop = CheckpointBackend(model), np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    made, expected = backend.run(crop), predict(model, crop[None])
    assert {name: value.shape for name, value in made.items()} == dict(backend.spec.outputs)
    assert made["confidence"][0] == expected.confidence[0]
    np.testing.assert_array_equal(made["landmarks"], expected.landmarks[0])


def test_figures_of_known_angles():
    by_landmarks = np.array([[0.0, -30, 1], [2, -20, 2], [1, 20, 3], [0, 30, 4]])
    by_head = by_landmarks * [1, 0.5, -1] + [5, 0, 0]
    by_head[1, 1] = 4.0
    report = compare(by_head, by_landmarks)
    assert report["yaw"]["clear_frames"] == 4
    assert report["yaw"]["sign_agreement"] == 0.75
    assert report["pitch"]["sign_agreement"] is None
    assert report["pitch"]["mean_difference"] == pytest.approx(5)
    assert report["pitch"]["slope"] == pytest.approx(1)
    assert report["roll"]["slope"] == pytest.approx(-1)
    assert compare(np.zeros((0, 3)), np.zeros((0, 3))) == {}


class KnowsTheFace:
    """A backend that says where the drawn face is, whatever the crop."""

    def __init__(self, spec, sample, angles):
        self.spec, self.sample, self.angles = spec, sample, angles

    def detect(self, _):
        return [ROI.from_landmarks(self.sample.landmarks)]

    def run(self, _, query_points=None):
        points = self.detect(None)[0].to_crop(self.sample.landmarks).astype(np.float32)
        uncertainty, confidence = np.full(98, 0.01, np.float32), np.ones(1, np.float32)
        return {"landmarks": points, "uncertainty": uncertainty, "pose": self.angles, "confidence": confidence}


def test_both_angles_of_a_video(store, draw_sample, tmp_path, tiny_weights, capsys):
    sample = draw_sample(np.random.default_rng(1), angles=np.radians([0.0, 20, 0]), center=(80, 80))
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (160, 160))
    for _ in range(4):
        writer.write(sample.image[:, :, ::-1])
    writer.release()
    backend = KnowsTheFace(CheckpointBackend(load_checkpoint(tiny_weights)[0]).spec, sample, np.radians([0.0, 20, 0]))
    object.__setattr__(backend.spec, "upright", False)
    camera = sample.intrinsics
    tracker = FaceTracker(TrackerOptions(detector=backend, smoothing=0.0, model=backend, camera=camera))
    total, by_head, by_landmarks, times = follow(path, tracker, mean_head_shape(store), frames=3)
    assert (total, len(times)) == (3, 3)
    assert np.all(by_landmarks[:, 1] > 10)
    assert np.all(by_head[:, 1] > 10)


def test_the_command_reports_a_video_without_a_face(tiny_weights, face_shards, tmp_path, capsys):
    path = tmp_path / "gray.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (160, 160))
    for _ in range(3):
        writer.write(np.full((160, 160, 3), 128, np.uint8))
    writer.release()
    arguments = [path, "--weights", tiny_weights, "--data", face_shards, "--out", tmp_path / "videos.json"]
    assert main(["videos", *map(str, arguments), "--plots", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "videos.json").read_text())["videos"]["gray.avi"] == {"frames": 3, "held": 0}
    assert "held in 0 of 3 frames" in capsys.readouterr().out
    assert (tmp_path / "pose.png").exists()


def test_no_detector_is_refused(tmp_path):
    with pytest.raises(ValueError, match="needs a detector"):
        VideosConfig((tmp_path,), tmp_path, tmp_path, detector="none")
