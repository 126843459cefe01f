import numpy as np
import pytest

from edge_runtime.backends import load_backend
from edge_runtime.errors import TemplateError

CROP = np.full((112, 112, 3), 51, np.uint8)


def test_run_uses_the_last_query_points(prompt_onnx):
    backend = load_backend(prompt_onnx)
    for count in (3, 5, 1):
        points = np.random.default_rng(count).random((count, 2))
        backend.prompt(points)
        for _ in range(2):
            outputs = backend.run(CROP)
            assert np.allclose(outputs["points"], points)
            assert np.allclose(outputs["points_uncertainty"], points[:, 0])
            assert outputs["landmarks"].shape == (98, 2)


def test_prompt_rejects_too_many_points(prompt_onnx):
    with pytest.raises(TemplateError, match=r"up to 5, got shape \(6, 2\); export it with more --prompts"):
        load_backend(prompt_onnx).prompt(np.zeros((6, 2)))


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.zeros((3, 3)), np.zeros(2)])
def test_prompt_rejects_other_shapes(prompt_onnx, points):
    with pytest.raises(TemplateError, match=r"takes \(K, 2\) query points"):
        load_backend(prompt_onnx).prompt(points)


def test_run_requires_query_points(prompt_onnx):
    with pytest.raises(TemplateError, match="needs query points"):
        load_backend(prompt_onnx).run(CROP)


def test_prompt_rejects_models_without_query_points(write_onnx):
    with pytest.raises(TemplateError, match="takes no query points"):
        load_backend(write_onnx()).prompt(np.zeros((3, 2)))
