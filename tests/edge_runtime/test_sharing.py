"""What several trackers in several threads may share: a loaded model, a detector."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from edge_runtime import FaceTracker, Template, TrackerOptions
from edge_runtime.backends import load_backend
from edge_runtime.detector import CascadeDetector, NetworkDetector
from edge_runtime.detector.yunet import YuNetDetector
from edge_runtime.models import model_path

FRAMES = 60


def frames_of(seed):
    """Frames of smooth blotches of changing brightness, of another size per seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (FRAMES, 6, 6, 3), dtype=np.uint8)
    size = (160 + 16 * seed, 120 + 8 * seed)
    return [cv2.resize(each, size, interpolation=cv2.INTER_CUBIC) for each in coarse]


def in_threads(functions):
    """Run functions at once, one thread each; return their results."""
    together = threading.Barrier(len(functions))

    def run(function):
        together.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


def test_trackers_in_threads_share_a_model(detector):
    """Each gets the numbers that it gets with a model of its own, whatever the others do."""
    pytest.importorskip("ai_edge_litert")
    path = model_path("atpn_fp16")

    def track(backend, seed):
        options = TrackerOptions(model=backend, detector=detector, track_threshold=0.01, lost_threshold=0.001)
        tracker = FaceTracker(dataclasses.replace(options, uncertainty_threshold=1.0))
        rois = detector.detect(frames_of(seed)[0])
        intrinsics = tracker.options.camera.at(320, 240)
        seen = [tracker._observe(frame, rois[0], intrinsics) for frame in frames_of(seed)]
        return [None if each is None else (each.landmarks, each.confidence) for each in seen]

    alone = [track(load_backend(path), seed) for seed in range(3)]
    shared = load_backend(path)
    together = in_threads([lambda seed=seed: track(shared, seed) for seed in range(3)])
    assert sum(each is not None for results in alone for each in results) > 20
    for expected, found in zip(alone, together, strict=True):
        for first, second in zip(expected, found, strict=True):
            assert (first is None) == (second is None)
            assert first is None or (np.array_equal(first[0], second[0]) and first[1] == second[1])


def test_trackers_in_threads_share_a_model_with_templates_of_their_own(prompt_onnx, detector, frame):
    backend = load_backend(prompt_onnx)
    templates = [Template(f"t{i}", np.random.default_rng(i).random((2 + i, 2))) for i in range(3)]

    def track(template):
        options = TrackerOptions(model=backend, detector=detector, template=template, smoothing=0)
        tracker = FaceTracker(options)
        faces = [tracker.update(np.full_like(frame, 250), i / 30) for i in range(50)]
        return [np.allclose(face.points, face.roi.to_frame(template.points), atol=1e-3) for (face,) in faces]

    results = in_threads([lambda template=template: track(template) for template in templates])
    assert [len(each) for each in results] == [50] * 3
    assert all(map(all, results))


@pytest.mark.parametrize("make", [CascadeDetector, lambda: NetworkDetector(model_path("detector_fp32"))])
def test_threads_share_a_detector(make):
    def detect(detector, seed):
        return [detector.detect(frame) for frame in frames_of(seed)[:10]]

    shared = make()
    alone = [detect(make(), seed) for seed in range(3)]
    assert in_threads([lambda seed=seed: detect(shared, seed) for seed in range(3)]) == alone


def test_yunet_keeps_an_images_size_and_its_search_together():
    """Its net has one size: another thread's must not come between."""

    class Net:
        def setInputSize(self, size):  # noqa: N802
            self.size = size

        def detect(self, image):
            wanted = self.size
            for _ in range(2000):  # threads take turns meanwhile
                assert self.size == wanted == image.shape[1::-1]
            return 0, None

    detector = YuNetDetector.__new__(YuNetDetector)
    detector._net, detector._running = Net(), threading.Lock()
    images = [np.zeros((20 + i, 30, 3), np.uint8) for i in range(3)]
    in_threads([lambda image=image: [detector.scored(image) for _ in range(50)] for image in images])
