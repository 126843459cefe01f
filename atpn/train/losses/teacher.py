"""Losses of a student's (B, N, 2) landmarks and uncertainty against a teacher's."""

from __future__ import annotations

import torch
from torch import Tensor

from atpn.train.losses.landmark import percent_errors, wing


def weighted_wing(predicted: Tensor, target: Tensor, sigma: Tensor) -> Tensor:
    """Average the wing of errors in percent of the face's rectangle, weighted by the teacher's certainty.

    A landmark's weight is 1 / sigma over the face's mean of it, for the teacher's (B, N) standard deviations: where the
    teacher guesses, the student follows it less.
    """
    weight = 1 / sigma
    weight = weight / weight.mean(dim=1, keepdim=True)
    return (weight * wing(percent_errors(predicted, target)).mean(dim=-1)).mean()


def sigma_divergence(predicted: Tensor, log_sigma: Tensor, target: Tensor, sigma: Tensor) -> Tensor:
    """Average the Kullback-Leibler divergence of the student's densities from the teacher's, over axes and landmarks.

    Both are normal with one standard deviation along either axis: (B, N) `sigma` around `target` for the teacher,
    exp(`log_sigma`) around `predicted` for the student. The least divergence is at the student's variance that adds its
    own distance to the teacher's variance. The landmarks are detached: this trains the uncertainty alone.
    """
    squared = sigma.square() + (predicted.detach() - target).square().mean(dim=-1)
    return (log_sigma - sigma.log() + 0.5 * squared * torch.exp(-2 * log_sigma) - 0.5).mean()
