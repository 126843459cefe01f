"""Losses of the face detector's (B, G, G) grids."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Compute the focal loss with reduced penalties near the centers (Zhou et al., 2019, equation 1), per face.

    The target is 1 at a face's center, less in its neighborhood; the mask is 0 for cells to ignore.
    """
    probability, center = logits.sigmoid(), target == 1
    found = F.logsigmoid(logits) * (1 - probability) ** 2
    empty = F.logsigmoid(-logits) * probability**2 * (1 - target) ** 4
    return -(torch.where(center, found, empty) * mask).sum() / center.sum().clamp_min(1)


def turn_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the weighted mean squared error of (B, G, G, 2) sines and cosines against (B, G, G) rolls in radians."""
    error = (predicted - torch.stack([target.sin(), target.cos()], dim=-1)).square().sum(-1)
    return (torch.where(weight > 0, error, 0.0) * weight).sum() / weight.sum().clamp_min(1)


def region_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the weighted mean error of (B, G, G, 3) ROIs (x, y, size).

    The center's error is in sizes of the face, the size's the log of a ratio: the terms that overlap depends on.
    """
    size = target[..., 2:].clamp_min(1e-6)
    center = (predicted[..., :2] - target[..., :2]).abs().sum(-1) / size[..., 0]
    ratio = (predicted[..., 2:].clamp_min(1e-6) / size).log().abs()[..., 0]
    return (torch.where(weight > 0, center + ratio, 0.0) * weight).sum() / weight.sum().clamp_min(1)
