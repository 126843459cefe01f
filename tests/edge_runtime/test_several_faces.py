"""Several faces in a synthetic scene: identities and crops."""

import dataclasses
import math

import numpy as np
import pytest

from edge_runtime import ROI, FaceTracker, TrackerOptions

DETECTION_INTERVAL_TRACKED = TrackerOptions().detection_interval_tracked


class Scene:
    """Backend and detector of bright squares in the frame."""

    def __init__(self, spec):
        self.spec = spec
        self.faces: dict[str, tuple[float, float, float]] = {}
        """Name to x, y, ROI size, in drawing order."""
        self.searches = 0

    def frame(self):
        image = np.zeros((240, 480, 3), np.uint8)
        for level, (x, y, size) in zip((120, 180, 240), self.faces.values(), strict=False):
            half = size / 3
            image[round(y - half) : round(y + half), round(x - half) : round(x + half)] = level
        return image

    def detect(self, _):
        self.searches += 1
        return [ROI(x, y, size) for x, y, size in self.faces.values()]

    def run(self, crop, query_points=None):
        """Return landmarks around the brightest square of the crop, the face in front."""
        bright = crop[..., 0].astype(int)
        best = max((level for level in (120, 180, 240) if (abs(bright - level) < 30).sum() > 300), default=None)
        outputs = {
            "landmarks": self.spec.mean_shape,
            "uncertainty": np.full(98, 0.02),
            "pose": np.zeros(3),
            "confidence": np.array([0.05]),
        }
        if best is not None:
            rows, columns = np.nonzero(abs(bright - best) < 30)
            low, high = np.array([columns.min(), rows.min()]) / 112, (np.array([columns.max(), rows.max()]) + 1) / 112
            shape = self.spec.mean_shape
            inside = (shape - shape.min(axis=0)) / np.ptp(shape, axis=0)
            outputs["landmarks"] = low + inside * (high - low)
            outputs["confidence"] = np.array([0.95])
        return {name: value.astype(np.float32) for name, value in outputs.items()}


@pytest.fixture
def scene(spec):
    return Scene(dataclasses.replace(spec, upright=False))


def ids_of(scene, tracker, time):
    return {name: face.id for face in tracker.update(scene.frame(), time) for name in [nearest(scene, face)]}


def nearest(scene, face):
    x, y = face.landmarks.min(axis=0) / 2 + face.landmarks.max(axis=0) / 2
    return min(scene.faces, key=lambda name: math.hypot(scene.faces[name][0] - x, scene.faces[name][1] - y))


def test_faces_are_tracked_up_to_the_limit(scene):
    scene.faces = {"a": (80, 120, 90), "b": (240, 120, 90), "c": (400, 120, 90)}
    assert len(FaceTracker(TrackerOptions(model=scene, detector=scene, max_faces=2)).update(scene.frame(), 0.0)) == 2
    tracker = FaceTracker(TrackerOptions(model=scene, detector=scene, max_faces=3))
    first = ids_of(scene, tracker, 0.0)
    assert sorted(first) == ["a", "b", "c"]
    for i in range(1, 20):
        scene.faces = {name: (x, y + 2, size) for name, (x, y, size) in scene.faces.items()}
        assert ids_of(scene, tracker, i / 30) == first
    assert scene.searches == 2, "one per tracker: no slot was free afterwards"


def test_no_face_is_tracked_twice(scene):
    scene.faces = {"a": (240, 120, 90)}
    tracker = FaceTracker(TrackerOptions(model=scene, detector=scene, max_faces=4))
    for i in range(2 * DETECTION_INTERVAL_TRACKED + 2):
        assert len(tracker.update(scene.frame(), i / 30)) == 1
    assert scene.searches == 3, "with a face tracked and room for more, a search in every fifteenth frame"


def test_identities_survive_crossing(scene):
    scene.faces = {"behind": (80, 120, 90), "front": (400, 120, 90)}
    tracker = FaceTracker(TrackerOptions(model=scene, detector=scene, max_faces=2, smoothing=0.0))
    first = ids_of(scene, tracker, 0.0)
    hidden = 0
    for i in range(1, 41):
        scene.faces = {"behind": (80 + 8 * i, 120, 90), "front": (400 - 8 * i, 120, 90)}
        faces = {face.id: face.landmarks.min(axis=0)[0] + 30 for face in tracker.update(scene.frame(), i / 30)}
        assert faces[first["front"]] == pytest.approx(scene.faces["front"][0], abs=6), i
        assert set(faces) <= set(first.values()), i
        if first["behind"] in faces:
            assert faces[first["behind"]] == pytest.approx(scene.faces["behind"][0], abs=25), i
        hidden += len(faces) == 1
    assert len(faces) == 2
    assert 0 < hidden < 15


def test_the_crop_follows_fast_motion(scene):
    # A quarter of the region's size per frame: the previous frame's own region would show half of the face.
    scene.faces = {"a": (60, 120, 90)}
    tracker = FaceTracker(TrackerOptions(model=scene, detector=scene, smoothing=0.0))
    tracker.update(scene.frame(), 0.0)
    offsets = []
    for i in range(1, 17):
        scene.faces = {"a": (60 + 22 * min(i, 14), 120, 90)}
        (face,) = tracker.update(scene.frame(), i / 30)
        offsets.append(abs(face.roi.cx - scene.faces["a"][0]))
    assert max(offsets[4:13]) < 0.6 * 22
    assert offsets[-1] < 22
