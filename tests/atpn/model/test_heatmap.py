from __future__ import annotations

import numpy as np
import pytest
import torch

from atpn.model import landmark_heatmap


def _formula(landmarks, grid):
    """Equation 3.1 cell by cell: distances in cells of the 28 grid, floor at 0.5."""
    result = np.empty((len(landmarks), 1, grid, grid))
    for b, points in enumerate(landmarks):
        for y in range(grid):
            for x in range(grid):
                center = np.array([(x + 0.5) * 28 / grid, (y + 0.5) * 28 / grid])
                distance = np.linalg.norm(points * 28 - center, axis=1).min()
                result[b, 0, y, x] = max(0.5, 1 / np.sqrt(1 + distance))
    return result


@pytest.mark.parametrize("grid", [28, 16])
def test_heatmap_equals_the_formula(grid):
    landmarks = np.random.default_rng(0).uniform(-0.2, 1.2, (2, 12, 2)).astype(np.float32)
    heatmap = landmark_heatmap(torch.from_numpy(landmarks), grid)
    np.testing.assert_allclose(heatmap.numpy(), _formula(landmarks.astype(np.float64), grid), atol=2e-5)


def test_heatmap_is_one_on_a_landmark_and_half_far_away():
    heatmap = landmark_heatmap(torch.full((1, 1, 2), (10 + 0.5) / 28))
    assert heatmap[0, 0, 10, 10] == pytest.approx(1.0)
    assert heatmap[0, 0, 10, 11] == pytest.approx(2**-0.5, abs=1e-6)
    assert heatmap[0, 0, 25, 25] == 0.5


def test_heatmap_passes_no_gradient_to_the_landmarks():
    landmarks = torch.rand(1, 5, 2, requires_grad=True)
    assert not landmark_heatmap(landmarks).requires_grad
