from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edge_runtime import FaceTracker, Template, TrackerOptions
from edge_runtime.backends import load_backend
from edge_runtime.errors import TemplateError

CROP = np.full((112, 112, 3), 51, np.uint8)


def test_each_run_has_its_own_query_points(prompt_onnx):
    backend = load_backend(prompt_onnx)
    for count in (3, 5, 1):
        points = np.random.default_rng(count).random((count, 2))
        outputs = backend.run(CROP, points)
        assert np.allclose(outputs["points"], points)
        assert np.allclose(outputs["points_uncertainty"], points[:, 0])
        assert outputs["landmarks"].shape == (98, 2)


def test_trackers_that_share_a_backend_keep_their_templates(prompt_onnx, detector, frame, lips):
    backend, brows = load_backend(prompt_onnx), Template("brows", np.array([[0.2, 0.1], [0.8, 0.1]]))
    first, second = (
        FaceTracker(TrackerOptions(model=backend, detector=detector, template=template, smoothing=0))
        for template in (lips, brows)
    )
    for _ in range(3):
        for tracker in (first, second):
            (face,) = tracker.update(np.full_like(frame, 250))
            assert np.allclose(face.points, face.roi.to_frame(tracker.template.points), atol=1e-3)
            assert face.template is tracker.template


def test_a_backend_may_run_in_several_threads(prompt_onnx):
    backend, runs = load_backend(prompt_onnx), 300

    def agrees(seed):
        points = np.random.default_rng(seed).random((3, 2))
        return all(np.allclose(backend.run(CROP, points)["points"], points) for _ in range(runs))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(agrees, range(4)))


def test_run_rejects_too_many_points(prompt_onnx):
    with pytest.raises(TemplateError, match=r"up to 5, got shape \(6, 2\); export it with more --prompts"):
        load_backend(prompt_onnx).run(CROP, np.zeros((6, 2)))


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.zeros((3, 3)), np.zeros(2)])
def test_run_rejects_other_shapes(prompt_onnx, points):
    with pytest.raises(TemplateError, match=r"takes \(K, 2\) query points"):
        load_backend(prompt_onnx).run(CROP, points)


def test_run_requires_query_points(prompt_onnx):
    with pytest.raises(TemplateError, match="needs query points"):
        load_backend(prompt_onnx).run(CROP)


def test_run_rejects_models_without_query_points(write_onnx):
    with pytest.raises(TemplateError, match="takes no query points"):
        load_backend(write_onnx()).run(CROP, np.zeros((3, 2)))
