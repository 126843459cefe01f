"""Losses of (B, N, 2) landmarks in crop coordinates and of their uncertainty, each a mean over the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from edge_runtime.landmarks import LandmarkScheme

GAP_PAIRS: Mapping[str, tuple[tuple[int, int], ...]] = MappingProxyType(
    {
        "wflw98": (
            *((61, 67), (62, 66), (63, 65), (69, 75), (70, 74), (71, 73)),  # upper to lower lid
            *((89, 95), (90, 94), (91, 93)),  # inner upper to inner lower lip
            *((79, 85), (78, 86), (80, 84), (76, 82)),  # outer lips, mouth corners
            *((35, 62), (37, 64), (44, 70), (42, 68)),  # brow to lid
        ),
        "ibug68": (
            *((37, 41), (38, 40), (43, 47), (44, 46)),
            *((61, 67), (62, 66), (63, 65)),
            *((51, 57), (50, 58), (52, 56), (48, 54)),
            *((19, 37), (21, 39), (24, 44), (22, 42)),
        ),
        "cofw29": (
            *((12, 13), (14, 15)),
            *((25, 26), (24, 27), (22, 23)),
            *((4, 12), (6, 14)),
        ),
        "celeba5": ((3, 4),),
    }
)
"""Landmark pairs whose distance is an expression: open eyes, open mouth, raised brows."""


def rectangle_size(landmarks: Tensor) -> Tensor:
    """Return the (B,) longer sides of the faces' bounding rectangles.

    The default normalizer: it changes little with pose, while the inter-ocular distance vanishes in profile and
    would let a few faces dominate the batch.
    """
    return (landmarks.amax(dim=1) - landmarks.amin(dim=1)).amax(dim=1)


def thesis_landmark_loss(predicted: Tensor, target: Tensor, scheme: LandmarkScheme) -> Tensor:
    """Compute the mean distance over the inter-ocular distance (thesis, equation 3.3)."""
    left, right = scheme.outer_eye_corners
    inter_ocular = (target[:, left] - target[:, right]).norm(dim=-1)
    return ((predicted - target).norm(dim=-1).mean(dim=1) / inter_ocular.clamp_min(1e-6)).mean()


def wing(error: Tensor, width: float = 4.0, curvature: float = 1.0) -> Tensor:
    """Apply the wing function (Feng et al., 2018, equation 5): logarithmic below `width`, linear above.

    The defaults are for errors in percent of the face's rectangle.
    """
    error = error.abs()
    offset = width - width * math.log1p(width / curvature)
    return torch.where(error < width, width * torch.log1p(error / curvature), error - offset)


def percent_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """Return (B, N, 2) x and y errors in percent of each face's rectangle."""
    return (predicted - target) * (100.0 / rectangle_size(target)[:, None, None])


def wing_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Compute the mean wing of the x and y errors in percent of the face's rectangle."""
    return wing(percent_errors(predicted, target)).mean()


def gap_loss(predicted: Tensor, target: Tensor, scheme: LandmarkScheme) -> Tensor:
    """Compute the mean wing of errors in the vectors between gap pairs, in percent of the face's rectangle.

    With a point loss alone a half-open mouth costs little: each lip is off by a small distance. ValueError if the
    scheme has no gap pairs.
    """
    if scheme.name not in GAP_PAIRS:
        raise ValueError(f"no gap pairs for scheme {scheme.name}; known: {', '.join(GAP_PAIRS)}; set gap_weight to 0")
    first, second = (list(side) for side in zip(*GAP_PAIRS[scheme.name], strict=True))
    error = (predicted[:, first] - predicted[:, second]) - (target[:, first] - target[:, second])
    return wing(error * (100.0 / rectangle_size(target)[:, None, None])).mean()


def laplace_nll(predicted: Tensor, log_sigma: Tensor, target: Tensor) -> Tensor:
    """Compute the (B, N) negative log likelihood of landmark errors under log standard deviations, up to a constant.

    The density is Laplace's, round in the plane with standard deviation sigma along each axis: at distance d,
    sqrt(3) d / sigma + 2 log sigma. It fits sigma to the mean distance; a Gaussian's would be inflated by outliers.

    The predicted landmarks are detached: a likelihood would reduce the gradient of the points that are hardest.
    """
    distance = (predicted.detach() - target).norm(dim=-1)
    return math.sqrt(3.0) * distance * torch.exp(-log_sigma) + 2 * log_sigma


def uncertainty_loss(predicted: Tensor, log_sigma: Tensor, target: Tensor) -> Tensor:
    """Average `laplace_nll` over the batch."""
    return laplace_nll(predicted, log_sigma, target).mean()
