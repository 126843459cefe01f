"""STAR loss (Zhou et al., 2023, "Reducing Semantic Ambiguity in Facial Landmark Detection") for regressed coordinates.

The paper takes a landmark's distribution from its predicted heatmap: errors along its principal axes v_k count by
1 / sqrt(lambda_k), its eigenvalues, so that a point may slide where points of its kind are seen to slide. The loss
itself would then inflate the eigenvalues, which a second term has to restrict.

A network that regresses coordinates has no heatmap, and ATPN's standard deviation is round. So a linear head, which
only training reads, says the missing shape: a covariance of determinant 1, exp [[a, b], [b, -a]]. Two numbers say
any such shape, and none of them can grow at the cost of nothing: the head learns by the likelihood of the errors
(`ambiguity_loss`) and the loss of the landmarks takes the shape as given. The determinant stands in for the paper's
restriction; how far a point is off in all is the standard deviation's to say, which divides no error: hard points must
not count less.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from atpn.train.losses.landmark import percent_errors, wing

LARGEST_RATIO = 9.0
"""Of the standard deviations along and across: beyond it a point would be free to go anywhere along its curve."""


def principal_axes(shape: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 2) shapes (a, b) to (..., 2) eigenvalues of exp [[a, b], [b, -a]], larger first, and (..., 2, 2) axes, the
    k-th row belonging to the k-th eigenvalue."""
    a, b = shape.unbind(-1)
    radius = torch.hypot(a, b).clamp_max(math.log(LARGEST_RATIO))
    angle = torch.atan2(b, a) / 2
    major = torch.stack([angle.cos(), angle.sin()], -1)
    minor = torch.stack([-angle.sin(), angle.cos()], -1)
    return torch.stack([radius, -radius], -1).exp(), torch.stack([major, minor], -2)


def star_loss(predicted: Tensor, target: Tensor, shape: Tensor) -> Tensor:
    """Wing of the errors along the (B, N, 2) shapes' axes over the roots of their eigenvalues (equation 4).

    In percent of the face's rectangle and, as `wing_loss`, a mean over landmarks and axes: a round shape whose axes
    are the image's gives the wing loss. The shapes are taken as given.
    """
    values, axes = principal_axes(shape.detach())
    error = percent_errors(predicted, target)
    along = (axes @ error.unsqueeze(-1)).squeeze(-1)
    return (wing(along) / values.sqrt()).mean()


def ambiguity_loss(predicted: Tensor, target: Tensor, log_sigma: Tensor, shape: Tensor) -> Tensor:
    """Negative log likelihood of the landmark errors under the shapes, up to what does not depend on these.

    The density of `uncertainty_loss`, with ellipses of the same area in place of circles. Predictions and their
    standard deviations are detached: the shape alone learns.
    """
    error = (predicted - target).detach()
    a, b = shape.unbind(-1)
    x, y = error.unbind(-1)
    # error' exp(-[[a, b], [b, -a]]) error, and the exponential is cosh(r) - sinh(r)/r [[a, b], [b, -a]].
    radius = (a.square() + b.square() + 1e-12).sqrt()
    squared = radius.cosh() * (x.square() + y.square())
    squared = squared - radius.sinh() / radius * (a * (x.square() - y.square()) + 2 * b * x * y)
    distance = squared.clamp_min(1e-12).sqrt()
    return (math.sqrt(3.0) * distance * torch.exp(-log_sigma.detach())).mean()
