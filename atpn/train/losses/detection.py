"""Losses of the face detector's (B, G, G) grids."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Focal loss with fewer penalties near the centres (Zhou et al., 2019, equation 1), per face.

    (B, G, G) each: a target of 1 is a face's centre, less is its neighbourhood; cells that are not `counted` weigh 0.
    """
    probability, centre = logits.sigmoid(), target == 1
    found = F.logsigmoid(logits) * (1 - probability) ** 2
    empty = F.logsigmoid(-logits) * probability**2 * (1 - target) ** 4
    return -(torch.where(centre, found, empty) * counted).sum() / centre.sum().clamp_min(1)


def region_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean error of (B, G, G, 3) regions (x, y, size) over cells of this (B, G, G) weight.

    The centre's error counts in sizes of the face, the size's as a ratio: the terms that overlap depends on.
    """
    size = target[..., 2:].clamp_min(1e-6)
    centre = (predicted[..., :2] - target[..., :2]).abs().sum(-1) / size[..., 0]
    ratio = (predicted[..., 2:].clamp_min(1e-6) / size).log().abs()[..., 0]
    return (torch.where(weight > 0, centre + ratio, 0.0) * weight).sum() / weight.sum().clamp_min(1)
