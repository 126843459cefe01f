"""Successors of the wing loss (`landmark.wing`) for coordinates: errors in percent of the face's rectangle.

Each is a continuous function of one coordinate's error.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def soft_wing(error: Tensor, inner: float = 1.0, width: float = 4.0, curvature: float = 1.0) -> Tensor:
    """Apply the soft wing function (Lin et al., 2021): linear below `inner`, logarithmic above.

    Neither the smallest errors nor wrong labels have the largest gradient.
    """
    error = error.abs()
    offset = inner - width * math.log1p(inner / curvature)
    return torch.where(error < inner, error, width * torch.log1p(error / curvature) + offset)


def rectified_wing(error: Tensor, tolerance: float = 0.5, width: float = 4.0, curvature: float = 1.0) -> Tensor:
    """Apply the rectified wing function (Feng et al., 2020): wing, but errors below `tolerance` cost nothing.

    The default tolerance is four thousandths of the crop: half a pixel.
    """
    error = error.abs()
    offset = width - width * math.log1p((width - tolerance) / curvature)
    inner = width * torch.log1p((error - tolerance).clamp_min(0) / curvature)
    return torch.where(error < width, inner, error - offset)


def adaptive_wing(
    error: Tensor, certain: Tensor, width: float = 4.0, curvature: float = 1.0, threshold: float = 4.0
) -> Tensor:
    """Apply the adaptive wing function (Wang et al., 2019, equation 3): logarithmic below `threshold`, linear above.

    In the paper the exponent 2.1 - y of the error depends on the heatmap's value y: wing-like on a landmark, quadratic
    on the background. Here y is `certain`, how certain a coordinate's label is (broadcast, 0 to 1).
    """
    error = error.abs()
    power = 2.1 - certain
    # At 0 the gradient of small powers is infinite.
    scaled = (error / curvature).clamp_min(1e-6) ** power
    at_threshold = (threshold / curvature) ** power
    slope = width / (1 + at_threshold) * power * at_threshold / threshold
    offset = threshold * slope - width * torch.log1p(at_threshold)
    return torch.where(error < threshold, width * torch.log1p(scaled), slope * error - offset)
