"""Losses of the expression stage."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from edge_runtime.expressions import EXPRESSIONS

_BLINKS = [EXPRESSIONS.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]


def expression_loss(logits: Tensor, target: Tensor, given: Tensor, absolute_weight: float = 0.0) -> Tensor:
    """Return the cross-entropy of (B, 52) logits and coefficients in [0, 1] over those that are `given`, (52,) 0 or 1.

    The minimum of the cross-entropy is the mean of what fits the image, so a shape that is rare and hard to see is
    never quite 0. `absolute_weight` adds absolute errors with this weight, whose minimum is the median; alone they
    would keep rare coefficients at 0.
    """
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    # The entropy of the target itself is no error.
    loss = loss - F.binary_cross_entropy(target, target, reduction="none")
    if absolute_weight:
        loss = loss + absolute_weight * (logits.sigmoid() - target).abs()
    return (loss * given).sum() / (given.sum() * len(logits))


def gaze_loss(gaze: Tensor, target: Tensor, expressions: Tensor) -> Tensor:
    """Return the mean absolute error in radians of (B, 2, 2) gaze, eyes weighted by how open they are.

    `expressions` are the (B, 52) true coefficients. A closed eye hides where it looks.
    """
    openness = 1.0 - expressions[:, _BLINKS]
    error = (gaze - target).abs().mean(dim=2)
    return (error * openness).sum() / openness.sum().clamp_min(1e-6)
