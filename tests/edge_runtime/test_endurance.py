"""What a tracker meets in a long life: odd frames, odd times, faces come and go. Nothing escapes or grows."""

import gc
import tracemalloc

import numpy as np
import pytest

from edge_runtime import ROI, FaceTracker
from edge_runtime.errors import FrameError
from edge_runtime.tracker import DETECTION_INTERVAL


class MoodyBackend:
    """Confidence, landmarks and pose at random, now and then nonsense."""

    def __init__(self, spec, seed):
        self.spec = spec
        self._rng = np.random.default_rng(seed)

    def run(self, crop):
        rng, shape = self._rng, self.spec.mean_shape
        landmarks = shape * rng.uniform(0.8, 1.2) + rng.normal(0, 0.05, 2)
        if rng.random() < 0.02:
            landmarks = rng.choice([np.full_like(shape, np.nan), np.full_like(shape, 1e30), np.zeros_like(shape)])
        confidence = rng.choice([0.95, 0.6, 0.1, np.nan], p=[0.85, 0.1, 0.04, 0.01])
        return {
            "landmarks": np.asarray(landmarks, np.float32),
            "uncertainty": rng.uniform(0, 0.1, 98).astype(np.float32),
            "pose": rng.uniform(-4, 4, 3).astype(np.float32),
            "confidence": np.array([confidence], np.float32),
        }


class MoodyDetector:
    """Regions anywhere, of any size."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def detect(self, frame):
        rng = self._rng
        return [
            ROI(*rng.uniform(-50, 400, 2), size=float(np.exp(rng.uniform(-1, 7))), roll=float(rng.uniform(-9, 9)))
            for _ in range(rng.integers(0, 6))
        ]


def read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def frames(rng):
    """Pictures of every kind that is taken, and some that are not."""
    grey = rng.integers(0, 256, (120, 160), dtype=np.uint8)
    colour = rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)
    taken = [
        grey,
        grey[:, :, None],
        colour,
        colour[::2, ::-1],
        np.dstack([colour, colour[..., 0]]),
        (grey.astype(np.uint16) << 8),
        colour.astype(np.float32) / 255,
        colour.transpose(1, 0, 2),
        colour[:1, :1],
        np.zeros((1, 4000, 3), np.uint8),
        colour[..., ::-1],
        np.broadcast_to(colour[:1], colour.shape),
        np.asfortranarray(colour),
        (grey.astype(np.uint16) * 257)[::-1, ::-1],
        read_only(colour),
    ]
    refused = [
        np.full((9, 9), np.nan, np.float32),
        colour.astype(np.float64),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((2, 3, 4, 3), np.uint8),
        colour.astype(np.int32),
        colour > 100,
        colour.astype(complex),
        np.broadcast_to(np.uint8(0), (9, 40_000, 3)),
        np.array([["a"]]),
    ]
    return taken, refused


@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_escapes_but_what_is_documented(spec, seed):
    rng = np.random.default_rng(seed)
    taken, refused = frames(rng)
    tracker = FaceTracker(backend=MoodyBackend(spec, seed), detector=MoodyDetector(seed), max_faces=3)
    time, seen, owners = 0.0, 0, set()
    for number in range(5000):
        time += rng.choice([1 / 30, 0.0, -5.0, 1e6, 1e-9], p=[0.9, 0.04, 0.02, 0.02, 0.02])
        if rng.random() < 0.05:
            with pytest.raises(FrameError):
                tracker.update(refused[rng.integers(len(refused))], time)
            continue
        if rng.random() < 0.002:
            tracker.reset()
        faces = tracker.update(taken[rng.integers(len(taken))], time)
        assert len(faces) <= 3
        assert len({face.id for face in faces}) == len(faces)
        for face in faces:
            assert np.isfinite(face.landmarks).all(), number
            assert np.allclose(face.pose.matrix @ face.pose.matrix.T, np.eye(3), atol=1e-6)
            assert face.confidence >= spec.lost_threshold
            owners.add(face.id)
        seen += bool(faces)
    assert seen > 50
    assert len(owners) > 10
    assert tracker.stats.detections >= len(owners)


def test_after_nonsense_faces_are_found_as_ever(spec, backend, detector, frame):
    moody, steady = MoodyBackend(spec, 2), backend.run
    tracker = FaceTracker(backend=backend, detector=detector)
    for number in range(200):
        backend.run = moody.run
        tracker.update(frame, number / 30)
    backend.run = steady
    held = [tracker.update(frame, (200 + number) / 30) for number in range(DETECTION_INTERVAL + 10)]
    assert all(held[DETECTION_INTERVAL:]), "found again at the next search at the latest"
    assert held[-1][0].id == held[DETECTION_INTERVAL][0].id


def test_a_huge_frame_is_taken(backend, detector):
    tracker = FaceTracker(backend=backend, detector=detector)
    assert len(tracker.update(np.zeros((6000, 8000), np.uint8), 0.0)) == 1


@pytest.mark.slow
def test_a_long_run_keeps_nothing(spec, frame):
    tracker = FaceTracker(backend=MoodyBackend(spec, 3), detector=MoodyDetector(3), max_faces=2)
    sizes = []
    tracemalloc.start()
    try:
        for number in range(3001):
            tracker.update(frame, number / 30)
            if number % 1500 == 0:
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[2] - sizes[1] < 20_000, "bytes that 1500 frames left behind"
