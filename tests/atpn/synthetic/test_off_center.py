"""The tracker's head pose on images whose pose is known and whose faces stand off the camera's axis."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atpn.evaluate.inference import predict
from atpn.model import load_checkpoint
from atpn.synthetic.crowd import render_samples
from edge_runtime import ROI, FaceTracker, Intrinsics, ModelSpec
from edge_runtime.geometry import upright_roll
from edge_runtime.spec import standard_outputs
from export.config import WEIGHTS_FOLDER


class ShippedWeights:
    """The network itself, without an exported file."""

    def __init__(self) -> None:
        self._model = load_checkpoint(WEIGHTS_FOLDER / "atpn.safetensors")[0]
        mean = self._model.mean_shape.numpy().reshape(98, 2)
        self.spec = ModelSpec(name="atpn", scheme="wflw98", mean_shape=mean, outputs=standard_outputs(98))

    def run(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        seen = predict(self._model, crop[None])
        return {name: np.atleast_1d(getattr(seen, name)[0]) for name in self.spec.outputs}


class KnownFace:
    """A detector that returns a given ROI."""

    roi: ROI

    def detect(self, frame: np.ndarray) -> list[ROI]:
        return [self.roi]


@pytest.mark.slow
def test_the_principal_point_makes_the_pose_right(asset_renderer):
    detector = KnownFace()
    tracker = FaceTracker(backend=ShippedWeights(), detector=detector, smoothing=0.0)
    before = asset_renderer.options
    asset_renderer.options = dataclasses.replace(before, glasses=0.0, face_mask=0.0, occluder=0.0, max_yaw=50.0)
    try:
        samples = list(render_samples(asset_renderer, range(24)))
    finally:
        asset_renderer.options = before
    errors = []
    for sample in samples:
        camera, middle = sample.intrinsics, sample.landmarks.mean(axis=0)
        off_axis = math.degrees(math.acos(camera.ray(*middle)[2]))
        if off_axis < 10:
            continue
        detector.roi = ROI.from_landmarks(sample.landmarks, upright_roll(sample.landmarks, tracker.spec.mean_shape))
        of_this = []
        # The camera's own principal point lies far from the face, often outside the image; then one in its middle.
        for tracker.intrinsics in (camera, Intrinsics(camera.fx, camera.fy, *middle)):
            tracker.reset()
            (face,) = tracker.update(sample.image[..., ::-1], 0.0)
            of_this.append(
                (Rotation.from_matrix(sample.rotation).inv() * Rotation.from_matrix(face.pose.matrix)).magnitude()
            )
        errors.append((*np.degrees(of_this), off_axis))
    assert len(errors) > 10
    corrected, uncorrected, off_axis = np.median(errors, axis=0)
    assert corrected < 5
    assert uncorrected > 0.7 * off_axis
