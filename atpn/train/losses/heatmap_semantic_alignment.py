"""Semantic Alignment on heatmaps, as published (Liu et al., 2019, "Finding Semantically Consistent Ground-truth").

The true landmark y is latent. Its prior is a Gaussian around the label o; its likelihood compares the network's heatmap
around y with the Gaussian E that it would have there, by Pearson's chi-square over the cells i of a patch:

    -log P(y | o, image) = |o - y|^2 / (2 s1^2) + chi2(y) / (2 s2^2),    chi2(y) = sum_i (E_i - H_i(y))^2 / E_i

Training alternates: with the network fixed, y is searched in a neighborhood of the label; with y fixed, the heatmap
learns the Gaussian at y. Here both happen in every step, the search on the averaged network, which changes slowly. A
network that knows nothing yet has the same chi-square everywhere, so that labels are kept at first.

`semantic_alignment.py` has the version for regressed coordinates; the global heatmap correction unit is in
`shape_correction.py`, as a shape model.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from atpn.model.heatmap_head import GAUSSIAN_SIGMA, cell_centers

PATCH_REACH = 3
"""Cells of the patch on each side of its center. Farther out E vanishes, and so does what chi-square divides by."""
LABEL_SIGMA = 1.0
"""s1 in cells: of a 112 px crop, 2 px, or 0.03 of a face's rectangle, by about which annotators differ."""
LIKELIHOOD_SIGMA = 1.0
"""s2, with E summing to 1; the paper's values of both are not known to us. The search then goes a third of the way to
the peak of a heatmap that has the right shape."""
SEARCH_REACH, SEARCH_STEP = 3.0, 0.5
"""Neighborhood of the label that is searched, and distance of two candidates in it, in cells."""


def gaussian_maps(landmarks: Tensor, grid: int) -> Tensor:
    """Return the (B, N, grid, grid) Gaussians of peak 1 at (B, N, 2) landmarks in [0, 1] of the crop."""
    offsets = (cell_centers(grid, landmarks) - landmarks[..., None]) * (grid / GAUSSIAN_SIGMA)  # (B, N, 2, G)
    bells = torch.exp(-offsets.square() / 2)
    return bells[:, :, 1, :, None] * bells[:, :, 0, None, :]


def heatmap_loss(maps: Tensor, landmarks: Tensor) -> Tensor:
    """Compute the squared error of (B, N, G, G) maps against Gaussians, summed over cells, a mean over landmarks."""
    return (maps - gaussian_maps(landmarks, maps.shape[-1])).square().sum(dim=(-2, -1)).mean()


def chi_square(maps: Tensor) -> Tensor:
    """Return chi2 of (B, N, G, G) maps with each cell as the center, same shape; E sums to 1.

    Beyond the map, heatmaps are 0.
    """
    steps = torch.arange(-PATCH_REACH, PATCH_REACH + 1, dtype=maps.dtype, device=maps.device)
    bell = torch.exp(-(steps / GAUSSIAN_SIGMA).square() / 2)
    expected = bell[:, None] * bell
    # The square multiplied out: sum E - 2 sum H + sum H^2 / E, of which two are convolutions.
    each = maps.flatten(0, 1)[:, None]
    sums = F.conv2d(each, torch.ones_like(expected)[None, None], padding=PATCH_REACH)
    squares = F.conv2d(each.square(), (1.0 / expected)[None, None], padding=PATCH_REACH)
    return (1.0 - (2.0 * sums - squares) / expected.sum()).view_as(maps)


def search_heatmaps(maps: Tensor, labeled: Tensor) -> Tensor:
    """Return the (B, N, 2) most likely landmarks near labels in [0, 1] of the crop, of (B, N, G, G) maps.

    Candidates lie on a square around the label; between cells' centers chi-square is interpolated bilinearly.
    """
    grid = maps.shape[-1]
    count = round(SEARCH_REACH / SEARCH_STEP)
    steps = torch.arange(-count, count + 1, dtype=maps.dtype, device=maps.device) * SEARCH_STEP
    offsets = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)  # (S, S, 2) x, y in cells
    candidates = labeled[:, :, None, None] + offsets / grid
    distance = chi_square(maps).flatten(0, 1)[:, None]
    places = 2.0 * candidates.flatten(0, 1) - 1.0
    sampled = F.grid_sample(distance, places, mode="bilinear", padding_mode="border", align_corners=False)
    prior = offsets.square().sum(dim=-1) / (2 * LABEL_SIGMA**2)
    cost = prior.flatten() + sampled[:, 0].flatten(1).view(*labeled.shape[:2], -1) / (2 * LIKELIHOOD_SIGMA**2)
    best = cost.argmin(dim=-1)
    return labeled + offsets.flatten(0, 1)[best] / grid
