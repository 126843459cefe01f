"""Losses of SLPT and DSLPT, each a mean over stages, layers, crops, and landmarks with a label."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from atpn.slpt.config import LIKELIHOODS, Loss
from atpn.slpt.network import Stage


def gaussian_nll(error: Tensor, log_sigma: Tensor) -> Tensor:
    """Compute the negative log-likelihood of (...) errors under a normal density, up to a constant (equation 5.8).

    `log_sigma` is the logarithm of the standard deviation.
    """
    return log_sigma + 0.5 * (error * torch.exp(-log_sigma)).square()


def laplace_nll(error: Tensor, log_sigma: Tensor) -> Tensor:
    """Compute the same under a Laplace density of standard deviation sigma: log sigma + sqrt(2) |error| / sigma."""
    return log_sigma + math.sqrt(2.0) * error.abs() * torch.exp(-log_sigma)


def likelihood_loss(stages: Sequence[Stage], target: Tensor, kind: Loss) -> Tensor:
    """Average the negative log-likelihood of both axes (equation 5.9) in patch units.

    Args:
        stages: Stages with uncertainty.
        target: (B, N, 2) labels in [0, 1] of the crop; NaN where unknown.
        kind: "gaussian" or "laplace".
    """
    nll = gaussian_nll if kind == "gaussian" else laplace_nll
    losses = []
    for stage in stages:
        assert stage.log_sigma is not None
        place = (target - stage.corners) / stage.side  # equation 5.10
        losses.append(nll(place.nan_to_num() - stage.mean, stage.log_sigma).mean(dim=-1))
    return _mean_of_known(torch.stack(losses), target)


def distance_loss(stages: Sequence[Stage], target: Tensor, kind: Loss, size: Tensor) -> Tensor:
    """Average the distance of each landmark from its label over the face's size (equation 4.8).

    Args:
        stages: Stages.
        target: (B, N, 2) labels in [0, 1] of the crop; NaN where unknown.
        kind: "l2" as published, or "l1".
        size: (B,) sizes of the faces in crop widths.
    """
    order = 2 if kind == "l2" else 1
    errors = torch.stack([stage.landmarks for stage in stages]) - target.nan_to_num()
    return _mean_of_known(torch.linalg.vector_norm(errors, ord=order, dim=-1) / size[:, None], target)


def slpt_loss(stages: Sequence[Stage], target: Tensor, kind: Loss, size: Tensor) -> Tensor:
    """Compute the loss that a network's config names."""
    if kind in LIKELIHOODS:
        return likelihood_loss(stages, target, kind)
    return distance_loss(stages, target, kind, size)


def _mean_of_known(values: Tensor, target: Tensor) -> Tensor:
    """Average (S, D, B, N) values over the landmarks whose (B, N, 2) labels are known."""
    known = ~target.isnan().any(dim=-1)
    return (values * known).sum() / (known.sum() * values.shape[0] * values.shape[1]).clamp_min(1)
