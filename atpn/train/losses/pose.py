"""Loss of the head pose."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def angle_difference(predicted: Tensor, target: Tensor) -> Tensor:
    """Return differences of angles in radians, wrapped to (-pi, pi]."""
    difference = predicted - target
    return torch.atan2(torch.sin(difference), torch.cos(difference))


def pose_loss(
    predicted: Tensor, target: Tensor, kind: Literal["angles", "thesis"] = "angles", knee: float = 0.05
) -> Tensor:
    """Compute the loss between (B, 3) poses in radians.

    "angles" is smooth L1 of the wrapped differences with its knee at 0.05 rad (3 degrees), close to the mean angle
    error. Our angles are singular only at pitch ±90°, where no face is tracked. "thesis" is the norm of the difference
    over 3: equation 3.7 reads sqrt(norm)/3, but the square root belongs inside the norm.
    """
    if kind == "thesis":
        return (predicted - target).norm(dim=-1).mean() / 3
    difference = angle_difference(predicted, target)
    return F.smooth_l1_loss(difference, torch.zeros_like(difference), beta=knee)
