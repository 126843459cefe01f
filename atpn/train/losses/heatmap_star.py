"""STAR loss on heatmaps, as published (Zhou et al., 2023, "Reducing Semantic Ambiguity in Facial Landmark Detection").

A landmark's heatmap is a distribution: its soft-argmax is the prediction, and the principal components of its
covariance are the directions in which annotators differ (lambda_1 >= lambda_2, v_1, v_2). The error along each is
divided by the root of its eigenvalue:

    L = sum_k d(v_k' (label - mean)) / sqrt(lambda_k) + w (lambda_1 + lambda_2)

The second term is the value restriction: the first alone would inflate the eigenvalues, through which its gradient
runs. `star.py` has the version for regressed coordinates. The paper's other parts (the hourglass network, heatmaps of
edges) are not here.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from atpn.model.heatmap_head import moments

KNEE = 0.01
"""Error at which smooth L1, the paper's distance d, becomes linear; the map's side is 2."""
RESTRICTION = 1.0
"""Weight w of the value restriction."""
EPSILON = 1e-5
"""Added to eigenvalues before the root, as a map of one cell has none."""


def distance_loss(maps: Tensor, labeled: Tensor) -> Tensor:
    """Compute the mean over landmarks of d(x error) + d(y error) of the soft-argmax: STAR's baseline.

    `maps` are (B, N, G, G) and sum to 1, `labeled` (B, N, 2) in [0, 1] of the crop; so for all losses here.
    """
    mean, _ = moments(maps)
    return _distance(2.0 * (labeled - mean)).sum(dim=-1).mean()


def heatmap_star_loss(maps: Tensor, labeled: Tensor) -> Tensor:
    """Compute the mean of STAR loss with its value restriction over landmarks."""
    mean, covariance = moments(maps)
    error = 2.0 * (labeled - mean)  # the paper's maps reach from -1 to 1
    values, axes = principal_components(4.0 * covariance)
    along = (axes @ error[..., None])[..., 0]
    star = (_distance(along) / (values + EPSILON).sqrt()).sum(dim=-1)
    return (star + RESTRICTION * values.sum(dim=-1)).mean()


def principal_components(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return (..., 2) eigenvalues, larger first, and (..., 2, 2) axes, a row each, of (..., 2, 2) covariances.

    In closed form, whose gradient is finite for round distributions, too.
    """
    xx, yy, xy = covariance[..., 0, 0], covariance[..., 1, 1], covariance[..., 0, 1]
    half_difference = (xx - yy) / 2
    # A round distribution has no direction: the image's axes, without a gradient.
    round_one = half_difference.square() + xy.square() < 1e-16
    half_difference = torch.where(round_one, 1.0, half_difference)
    xy = torch.where(round_one, 0.0, xy)
    radius = torch.where(round_one, 0.0, (half_difference.square() + xy.square()).sqrt())
    angle = torch.atan2(xy, half_difference) / 2
    middle = (xx + yy) / 2
    major = torch.stack([angle.cos(), angle.sin()], dim=-1)
    minor = torch.stack([-angle.sin(), angle.cos()], dim=-1)
    return torch.stack([middle + radius, middle - radius], dim=-1), torch.stack([major, minor], dim=-2)


def _distance(error: Tensor) -> Tensor:
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=KNEE)
