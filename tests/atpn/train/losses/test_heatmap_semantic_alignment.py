"""Semantic Alignment of heatmaps against its formulas, cell by cell."""

import numpy as np
import pytest
import torch

from atpn.train.losses.heatmap_semantic_alignment import (
    chi_square,
    gaussian_maps,
    heatmap_loss,
    search_heatmaps,
)

GRID = 24
SIGMA, REACH = 1.5, 3


def gaussian(place):
    y, x = np.mgrid[:GRID, :GRID] + 0.5
    return np.exp(-((x - place[0] * GRID) ** 2 + (y - place[1] * GRID) ** 2) / (2 * SIGMA**2))


def test_gaussians_stand_at_their_landmarks():
    landmarks = np.random.default_rng(0).uniform(0.1, 0.9, (2, 3, 2))
    maps = gaussian_maps(torch.from_numpy(landmarks), GRID)
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(maps[index], gaussian(landmarks[index]), atol=1e-12)


def test_the_loss_sums_squared_differences_over_cells():
    rng = np.random.default_rng(1)
    maps, landmarks = rng.normal(0, 1, (2, 3, GRID, GRID)), rng.uniform(0.1, 0.9, (2, 3, 2))
    expected = np.mean([((maps[i] - gaussian(landmarks[i])) ** 2).sum() for i in np.ndindex(2, 3)])
    assert heatmap_loss(torch.from_numpy(maps), torch.from_numpy(landmarks)).item() == pytest.approx(expected)


def plain_chi_square(heatmap, row, column):
    """Pearson's chi-square of the patch around a cell; both sides divided by the sum of the expected Gaussian."""
    total, statistic = 0.0, 0.0
    for dy in range(-REACH, REACH + 1):
        for dx in range(-REACH, REACH + 1):
            total += np.exp(-(dx**2 + dy**2) / (2 * SIGMA**2))
    for dy in range(-REACH, REACH + 1):
        for dx in range(-REACH, REACH + 1):
            y, x = row + dy, column + dx
            inside = 0 <= y < GRID and 0 <= x < GRID
            observed = (heatmap[y, x] if inside else 0.0) / total
            expected = np.exp(-(dx**2 + dy**2) / (2 * SIGMA**2)) / total
            statistic += (expected - observed) ** 2 / expected
    return statistic


def test_chi_square_compares_the_patch_with_a_gaussian():
    heatmap = np.random.default_rng(2).normal(0.2, 0.3, (GRID, GRID))
    found = chi_square(torch.from_numpy(heatmap)[None, None])[0, 0]
    for row, column in ((10, 12), (0, 0), (23, 5), (7, 22)):
        assert found[row, column].item() == pytest.approx(plain_chi_square(heatmap, row, column))
    exact = gaussian(np.array([12.5, 9.5]) / GRID)
    found = chi_square(torch.from_numpy(exact)[None, None])[0, 0]
    assert found[9, 12].item() == pytest.approx(0, abs=1e-9)
    assert found.argmin().item() == 9 * GRID + 12


def test_the_search_weighs_the_label_against_the_heatmap():
    """Against all candidates, one by one, where they lie on cells' centers."""
    rng = np.random.default_rng(3)
    cells = rng.integers(8, 16, (4, 2))
    labels = (cells + 0.5) / GRID
    heatmaps = np.stack(
        [gaussian(label + rng.uniform(-2, 2, 2) / GRID) + rng.normal(0, 0.02, (GRID, GRID)) for label in labels]
    )
    found = search_heatmaps(torch.from_numpy(heatmaps)[None], torch.from_numpy(labels)[None])[0].numpy()
    for label, cell, heatmap, place in zip(labels, cells, heatmaps, found, strict=True):
        statistic = {
            (x, y): plain_chi_square(heatmap, cell[1] + y, cell[0] + x) for x in range(-3, 4) for y in range(-3, 4)
        }

        def cost(x, y, statistic=statistic):
            low = min(int(np.floor(x)), 2), min(int(np.floor(y)), 2)
            u, v = x - low[0], y - low[1]
            corners = [(0, 0, (1 - u) * (1 - v)), (1, 0, u * (1 - v)), (0, 1, (1 - u) * v), (1, 1, u * v)]
            return (x**2 + y**2) / 2 + sum(w * statistic[low[0] + i, low[1] + j] for i, j, w in corners) / 2

        steps = np.arange(-6, 7) / 2
        best = min(((x, y) for y in steps for x in steps), key=lambda p: cost(*p))
        np.testing.assert_allclose((place - label) * GRID, best, atol=1e-9)


def test_labels_move_towards_a_clear_peak_and_stay_without_one():
    label = torch.tensor([[[12.5, 12.5], [12.5, 12.5]]]) / GRID
    peak = torch.from_numpy(gaussian(np.array([14.5, 12.5]) / GRID)).float()
    maps = torch.stack([peak, torch.zeros(GRID, GRID)])[None]
    moved = (search_heatmaps(maps, label) - label)[0] * GRID
    assert 0 < moved[0, 0] <= 1.5
    assert moved[0, 1] == 0
    assert (moved[1] == 0).all()
