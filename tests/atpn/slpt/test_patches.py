"""Patches of feature maps against loops over landmarks and cells."""

import numpy as np
import pytest
import torch

from atpn.slpt.patches import FIRST_SIDE, next_side, patch_corners, sample_patches


def bilinear(level, x, y):
    """Interpolate a (C, H, W) map at a place in [0, 1]; cell centers are at halves, beyond them the border repeats."""
    _, height, width = level.shape
    column, row = np.clip(x * width - 0.5, 0, width - 1), np.clip(y * height - 0.5, 0, height - 1)
    left, top = min(int(column), width - 2), min(int(row), height - 2)
    u, v = column - left, row - top
    upper = (1 - u) * level[:, top, left] + u * level[:, top, left + 1]
    lower = (1 - u) * level[:, top + 1, left] + u * level[:, top + 1, left + 1]
    return (1 - v) * upper + v * lower


def test_a_patch_is_sampled_cell_by_cell():
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(2, 3, 8, 8, generator=generator), torch.rand(2, 2, 4, 4, generator=generator)]
    corners, side = torch.rand(2, 5, 2, generator=generator) * 0.7, torch.rand(2, 5, 1, generator=generator) * 0.3
    patches = sample_patches(maps, corners, side, 3)
    assert patches.shape == (2, 5, 5, 3, 3)
    for crop, landmark, row, column in np.ndindex(2, 5, 3, 3):
        steps = (np.array([column, row]) + 0.5) / 3
        x, y = corners[crop, landmark].numpy() + side[crop, landmark].numpy() * steps
        expected = np.concatenate([bilinear(level[crop].numpy(), x, y) for level in maps])
        np.testing.assert_allclose(patches[crop, landmark, :, row, column].numpy(), expected, atol=1e-5)


def test_a_first_patch_of_seven_cells_takes_a_28_map_as_it_is():
    level = torch.rand(1, 4, 28, 28)
    patch = sample_patches([level], torch.tensor([[[7 / 28, 14 / 28]]]), torch.tensor([[[FIRST_SIDE]]]), 7)[0, 0]
    torch.testing.assert_close(patch, level[0, :, 14:21, 7:14])


def test_patches_stay_inside_the_crop():
    centers = torch.tensor([[[0.5, 0.5], [0.01, 0.5], [0.99, -0.3], [1.2, 0.95]]])
    corners = patch_corners(centers, torch.full((1, 4, 1), 0.2))
    torch.testing.assert_close(corners[0], torch.tensor([[0.4, 0.4], [0.0, 0.4], [0.8, 0.0], [0.8, 0.8]]))


def test_slpt_halves_every_patch():
    assert next_side(torch.tensor([[[0.25], [0.1]]]), None, 0.5, 0.5).flatten().tolist() == pytest.approx([0.125, 0.05])


def test_dslpt_takes_twice_six_sigma_of_the_larger_axis_within_limits():
    side = torch.tensor([[[0.25], [0.25], [0.25], [0.1]]])
    sigma = torch.tensor([[[0.05, 0.02], [0.001, 0.01], [0.3, 0.1], [0.02, 0.055]]], requires_grad=True)
    expected = [0.25 * 12 * 0.05, 0.25 * 0.5, 0.25 * 0.7, 0.1 * 12 * 0.055]
    found = next_side(side, sigma, 0.5, 0.7)
    torch.testing.assert_close(found.flatten(), torch.tensor(expected))
    assert not found.requires_grad
