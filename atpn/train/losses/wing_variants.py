"""What came after the wing loss (`landmark.wing`), for coordinates: errors in percent of the face's rectangle.

Each is a function of one coordinate's error, continuous where its pieces meet.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def soft_wing(error: Tensor, inner: float = 1.0, width: float = 4.0, curvature: float = 1.0) -> Tensor:
    """Soft wing function (Lin et al., 2021): linear below `inner`, logarithmic above, so that neither the smallest
    errors nor wrong labels pull hardest."""
    error = error.abs()
    offset = inner - width * math.log1p(inner / curvature)
    return torch.where(error < inner, error, width * torch.log1p(error / curvature) + offset)


def rectified_wing(error: Tensor, tolerance: float = 0.5, width: float = 4.0, curvature: float = 1.0) -> Tensor:
    """Rectified wing function (Feng et al., 2020): wing, but errors below `tolerance` are the labels' and cost nothing.

    The default tolerance is four thousandths of the crop: half a pixel.
    """
    error = error.abs()
    offset = width - width * math.log1p((width - tolerance) / curvature)
    inner = width * torch.log1p((error - tolerance).clamp_min(0) / curvature)
    return torch.where(error < width, inner, error - offset)


def adaptive_wing(
    error: Tensor, certain: Tensor, width: float = 4.0, curvature: float = 1.0, threshold: float = 4.0
) -> Tensor:
    """Adaptive wing function (Wang et al., 2019, equation 3): logarithmic below `threshold`, linear above.

    There, the exponent 2.1 - y of the error depends on the heatmap's value y, so that a pixel on a landmark pulls like
    wing at the smallest errors, and one of the background like a square. A coordinate has no heatmap; what stands for y
    is how certain its label is, `certain` (broadcast, 0 to 1).
    """
    error = error.abs()
    power = 2.1 - certain
    # Not raised to a power at 0, where the gradient of small powers has no value.
    scaled = (error / curvature).clamp_min(1e-6) ** power
    at_threshold = (threshold / curvature) ** power
    slope = width / (1 + at_threshold) * power * at_threshold / threshold
    offset = threshold * slope - width * torch.log1p(at_threshold)
    return torch.where(error < threshold, width * torch.log1p(scaled), slope * error - offset)
