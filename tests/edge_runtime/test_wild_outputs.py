"""The loop with whatever a network can give: never an error, never a number that is not finite."""

import dataclasses
import json
import math

import cv2
import numpy as np
import pytest

from edge_runtime import ROI, FaceTracker, TrackerOptions
from edge_runtime.detector import NetworkDetector, decode_detections, mediapipe, suppress_overlaps
from edge_runtime.detector.detection import MAX_DETECTIONS, NMS_IOU_THRESHOLD
from edge_runtime.detector.network import letterbox
from edge_runtime.sinks.results import frame_to_json
from edge_runtime.sinks.streams import osc_message
from edge_runtime.sources.source import Frame
from edge_runtime.spec import DetectorSpec, detector_outputs, standard_outputs

WILD = [math.nan, math.inf, -math.inf, 1e38, -1e38, 1e30, -1e30, 1e-45]
GRID = 48


class WildNetwork:
    """A landmark network of `prompt_spec` whose results may be replaced."""

    def __init__(self, spec):
        self.spec, self.changes = spec, {}

    def run(self, crop, query_points=None):
        outputs = {
            "landmarks": self.spec.mean_shape.copy(),
            "uncertainty": np.full(98, 0.02, np.float32),
            "pose": np.zeros(3, np.float32),
            "confidence": np.array([0.98], np.float32),
            "points": np.full((5, 2), 0.5, np.float32),
            "points_uncertainty": np.full(5, 0.02, np.float32),
        }
        for name, (index, value) in self.changes.items():
            outputs[name].flat[index] = value
        return outputs


@pytest.fixture
def network(prompt_spec):
    return WildNetwork(prompt_spec)


@pytest.fixture
def tracker(network, detector, lips):
    lips = dataclasses.replace(lips, points=np.full((5, 2), 0.5) + 0.1 * np.arange(5)[:, None], edges=())
    return FaceTracker(TrackerOptions(model=network, detector=detector, template=lips))


def check_faces(faces):
    """Every number of a result is finite, and the sinks take it."""
    for face in faces:
        arrays = face.landmarks, face.uncertainty, face.pose.matrix, face.direction
        assert all(np.isfinite(array).all() for array in (*arrays, face.points, face.points_uncertainty))
        assert min(face.uncertainty.min(), face.points_uncertainty.min()) >= 0
        assert 0 <= face.confidence <= 1
        osc_message("/points", *map(float, face.landmarks.ravel()), *map(float, face.points.ravel()))
    json.loads(frame_to_json(Frame(np.zeros((2, 2, 3), np.uint8), 0, 0.0), faces))


@pytest.mark.parametrize("index", [0, -1, slice(None)])
@pytest.mark.parametrize("name", standard_outputs(98, points=5))
def test_a_reading_with_an_impossible_number_is_no_face(tracker, network, frame, name, index):
    assert len(tracker.update(frame, 0.0)) == 1
    for number, value in enumerate(WILD):
        network.changes = {name: (index, value)}
        for faces in (tracker.update(frame, number + 0.1), tracker.detect(frame)):
            check_faces(faces)
            # The smallest number above zero is like zero: all landmarks in one place, no confidence.
            assert not faces or value == 1e-45
        tracker.reset()
        network.changes = {}
        assert len(tracker.update(frame, number + 0.5)) == 1


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("uncertainty", -0.001, False),
        ("uncertainty", -0.0, True),
        ("points_uncertainty", -0.001, False),
        ("points", 10.5, False),
        ("points", -1.0, True),
        ("pose", 7.0, False),
        ("pose", -math.pi, True),
        ("confidence", 1.01, False),
        ("confidence", 1.0000001, True),
        ("confidence", -0.5, False),
    ],
)
def test_the_ranges_of_results(tracker, network, frame, name, value, accepted):
    network.changes = {name: (0, value)}
    faces = tracker.update(frame, 0.0)
    check_faces(faces)
    assert len(faces) == accepted


def test_a_network_of_zeros_finds_nothing(tracker, network, frame):
    network.changes = {name: (slice(None), 0.0) for name in standard_outputs(98, points=5)}
    assert tracker.update(frame, 0.0) == []
    assert tracker.detect(frame) == []


class WildDetector:
    """A detector network with these outputs, whatever the image."""

    def __init__(self, **outputs):
        self.spec = DetectorSpec(name="wild", outputs=detector_outputs(GRID), input_size=96, track_threshold=0.3)
        rng = np.random.default_rng(0)
        self.outputs = {
            "scores": np.zeros((GRID, GRID), np.float32),
            "rois": rng.uniform(0.2, 0.4, (GRID, GRID, 3)).astype(np.float32),
            "roll": np.ones((GRID, GRID, 2), np.float32),
        } | outputs

    def run(self, crop, query_points=None):
        return self.outputs


@pytest.mark.parametrize("value", [*WILD, 0.0, -1.0, 1.0])
@pytest.mark.parametrize("name", ["scores", "rois", "roll"])
@pytest.mark.parametrize("saturated", [True, False])
def test_a_detector_may_give_anything(backend, frame, name, value, saturated):
    wild = WildDetector()
    wild.outputs["scores"][:] = 0.0 if not saturated else 0.9
    wild.outputs["scores"][10:12, 20:22] = 0.8
    wild.outputs[name][9:13, 19:23] = value
    detector = NetworkDetector(wild)
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector))
    with np.errstate(all="raise"):
        for rois in (detector.detect(frame), detector.search(frame, 0)):
            assert len(rois) <= MAX_DETECTIONS
            assert all(isinstance(roi, ROI) for roi in rois)
        assert all(math.isfinite(score) for score, _ in detector.scored(frame, 0.3))
    for faces in (tracker.detect(frame), tracker.update(frame, 0.0)):
        assert all(np.isfinite(face.landmarks).all() for face in faces)


def test_a_wild_cell_does_not_hide_its_neighbor():
    scores, rois = np.zeros((6, 6), np.float32), np.ones((6, 6, 3), np.float32)
    scores[2, 2] = 0.7
    for value in (math.nan, math.inf, 1e30):
        scores[2, 3] = value
        assert [round(score, 2) for score, _ in decode_detections(scores, rois, 0.5)] == [0.7]
    scores[2, 3], rois[2, 3, 2] = 0.9, -1.0
    assert [round(score, 2) for score, _ in decode_detections(scores, rois, 0.5)] == [0.7]


def test_a_saturated_detector_costs_few_comparisons(monkeypatch):
    """Squares on a grid that overlap by less than the threshold: none suppresses another."""
    calls = []
    iou = ROI.iou
    monkeypatch.setattr(ROI, "iou", lambda roi, other: calls.append(roi) or iou(roi, other))
    scores, rois = np.ones((GRID, GRID), np.float32), np.full((GRID, GRID, 3), 1.5, np.float32)
    rois[..., 0], rois[..., 1] = np.meshgrid(np.arange(GRID), np.arange(GRID))
    found = decode_detections(scores, rois, 0.5)
    assert len(found) == MAX_DETECTIONS
    assert len(calls) < 10 * MAX_DETECTIONS


def test_the_quick_bound_changes_no_suppression():
    rng = np.random.default_rng(0)
    for _ in range(20):
        rois = [
            ROI(x, y, size, roll)
            for x, y, size, roll in zip(
                *rng.uniform(0, 10, (2, 40)), rng.uniform(0.3, 6, 40), rng.uniform(-4, 4, 40), strict=True
            )
        ]
        found = [(0.9, roi) for roi in rois]
        expected = []
        for pair in found:
            if all(pair[1].iou(kept[1]) < NMS_IOU_THRESHOLD for kept in expected):
                expected.append(pair)
        assert suppress_overlaps(found) == expected


@pytest.mark.parametrize("value", [*WILD, 0.0])
@pytest.mark.parametrize("what", ["values", "logits"])
def test_blazeface_may_give_anything(value, what):
    outputs = {"values": np.ones((896, 16), np.float32), "logits": np.full(896, -20, np.float32)}
    outputs["values"][:, 6], outputs["values"][:, 11], outputs["logits"][5] = 20, 20, 3
    outputs["values"][100:, :] = np.random.default_rng(0).uniform(-50, 50, (796, 16))
    outputs[what][::2] = value
    _, square = letterbox(np.zeros((128, 128, 3), np.uint8), 128)
    found = mediapipe.decode(outputs["values"], outputs["logits"], square)
    assert len(found) <= MAX_DETECTIONS
    assert all(0 <= score <= 1 for score, _ in found)


@pytest.mark.parametrize(
    "roi", [ROI(0, 0, 1e-200), ROI(0, 0, 1e300), ROI(1e300, 0, 50), ROI(-1e9, 1e9, 50), ROI(160, 120, 1e-3)]
)
def test_impossible_regions_of_a_detector_are_left_out(backend, detector, frame, roi):
    detector.rois = [roi, *detector.rois, roi]
    tracker = FaceTracker(TrackerOptions(model=backend, detector=detector, max_faces=3))
    backend.confidence = 0.98
    assert len(tracker.update(frame, 0.0)) == 1
    tracker.reset()
    assert len(tracker.detect(frame)) == 1


def test_yunet_boxes_without_an_extent_are_left_out():
    from edge_runtime.detector.yunet import YuNetDetector

    class Net:
        def setInputSize(self, size):  # noqa: N802
            pass

        def detect(self, image):
            rows = np.full((4, 15), 20, np.float32)
            rows[0, 2], rows[1, 0], rows[2, 14] = 0, math.nan, math.inf
            return 1, rows

    if not hasattr(cv2, "FaceDetectorYN"):
        pytest.skip("OpenCV has no FaceDetectorYN")
    detector = YuNetDetector.__new__(YuNetDetector)
    detector._net, detector._running = Net(), NoLock()
    assert len(detector.scored(np.zeros((50, 50, 3), np.uint8))) == 1


class NoLock:
    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return None
