"""Semantic Alignment (Liu et al., 2019): search the consistent landmarks behind inconsistent labels, and train on them.

The paper holds the true landmarks for latent. Given a label, a Gaussian prior keeps them near it; given the network,
they should lie where its heatmap looks like one of a true landmark. It alternates: search each landmark's
neighbourhood for the place that both find likeliest, then train on what was found.

With regressed coordinates both terms are Gaussian, so the search is a formula. The label is off by `ALONG` along its
contour and by `ACROSS` across; the network's answer by its own standard deviation. The likeliest place lies between
the two: nearly the label's across the contour, where people see the edge, and along it the closer to the answer
the surer the network is. An untrained network is not sure of anything, which makes its labels stand at first: the
paper's waiting until the network has roughly converged comes by itself. The answer is the averaged network's: were it
that of the network in training, the formula would be no more than a smaller gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from atpn.train.losses.landmark import rectangle_size

ALONG = 0.02
ACROSS = 0.004
"""Standard deviations of a label along its contour and across, in shares of the face's rectangle. Guesses, as anybody
has to make: about what people differ by, not what the ablation's noise does."""


def search_landmarks(
    labelled: Tensor, predicted: Tensor, sigma: Tensor, before: Tensor, after: Tensor, sliding: Tensor
) -> Tensor:
    """(B, N, 2) likeliest landmarks, given (B, N, 2) labels and predictions with (B, N) standard deviations.

    `before`, `after` and `sliding` (N,) are what `atpn.data.contours` says of the scheme. The contour's direction is
    taken from the prediction, which is smoother than the label.
    """
    size = rectangle_size(labelled)[:, None]
    along, across = (ALONG * size).square(), (ACROSS * size).square()
    along = torch.where(sliding, along, across)
    # Its sigma has learnt the distance to labels, whose own scatter is in it; but it is never taken for almost sure.
    variance = sigma.square()
    variance = torch.maximum(variance - (along + across) / 2, variance / 4)
    tangent = predicted[:, after] - predicted[:, before]
    tangent = tangent / tangent.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    difference = predicted - labelled
    slid = (difference * tangent).sum(dim=-1, keepdim=True) * tangent
    gain, gain_along = across / (across + variance), along / (along + variance)
    return labelled + gain[..., None] * difference + (gain_along - gain)[..., None] * slid
