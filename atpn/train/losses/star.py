"""STAR loss (Zhou et al., 2023, "Reducing Semantic Ambiguity in Facial Landmark Detection") for regressed coordinates.

The paper takes a landmark's distribution from its heatmap: errors along its principal axes v_k are divided by
sqrt(lambda_k), its eigenvalues, so that a point may slide along its contour. The loss alone would inflate the
eigenvalues, so a second term restricts them.

A network that regresses coordinates has no heatmap, and ATPN's standard deviation is isotropic. So a linear head, used
in training only, predicts the missing shape by two numbers: a covariance of determinant 1, exp [[a, b], [b, -a]]. It
learns from the likelihood of the errors (`ambiguity_loss`), and the landmarks' loss takes the shape as given. The fixed
determinant replaces the paper's restriction. The standard deviation divides no error, or hard points would have less
weight.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from atpn.train.losses.landmark import percent_errors, wing

MAX_RATIO = 9.0
"""Maximum ratio of the standard deviations along and across; without it points could slide freely."""


def principal_axes(shape: Tensor) -> tuple[Tensor, Tensor]:
    """Return (..., 2) eigenvalues, larger first, and axes, a row each, of exp [[a, b], [b, -a]] for (..., 2) (a, b)."""
    a, b = shape.unbind(-1)
    radius = torch.hypot(a, b).clamp_max(math.log(MAX_RATIO))
    angle = torch.atan2(b, a) / 2
    major = torch.stack([angle.cos(), angle.sin()], -1)
    minor = torch.stack([-angle.sin(), angle.cos()], -1)
    return torch.stack([radius, -radius], -1).exp(), torch.stack([major, minor], -2)


def star_loss(predicted: Tensor, target: Tensor, shape: Tensor) -> Tensor:
    """Compute the wing of errors along the (B, N, 2) shapes' axes over the roots of their eigenvalues (equation 4).

    Like `wing_loss` in percent of the face's rectangle and a mean over landmarks and axes; equal to it for a round
    shape with the image's axes. The shapes get no gradient.
    """
    values, axes = principal_axes(shape.detach())
    error = percent_errors(predicted, target)
    along = (axes @ error.unsqueeze(-1)).squeeze(-1)
    return (wing(along) / values.sqrt()).mean()


def ambiguity_loss(predicted: Tensor, target: Tensor, log_sigma: Tensor, shape: Tensor) -> Tensor:
    """Compute the negative log likelihood of landmark errors under the shapes, up to terms independent of them.

    The density is that of `laplace_nll`, with ellipses of the same area in place of circles. Only the shapes get a
    gradient.
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
