"""Semantic Alignment (Liu et al., 2019): search consistent landmarks behind inconsistent labels, and train on them.

The paper treats the true landmarks as latent. A Gaussian prior keeps them near the label; the network's heatmap gives
their likelihood. It alternates between searching each landmark's neighborhood for the most likely place and training on
what was found.

With regressed coordinates both terms are Gaussian, so the search has a closed form. The label has standard deviation
`ALONG` along its contour and `ACROSS` across; the prediction has its own. The result is close to the label across the
contour, where annotators see the edge, and moves along it towards the prediction the more certain the network is. An
untrained network is uncertain, so labels are kept at first; the paper waits for convergence instead. The prediction
is the averaged network's: with that of the network in training, the formula would only scale the gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from atpn.train.losses.landmark import rectangle_size

ALONG = 0.02
ACROSS = 0.004
"""Standard deviations of a label along and across its contour, in sizes of the face's rectangle. Estimates of how
annotators differ, not of the ablation's noise."""


def search_landmarks(
    labeled: Tensor, predicted: Tensor, sigma: Tensor, before: Tensor, after: Tensor, sliding: Tensor
) -> Tensor:
    """Return the (B, N, 2) most likely landmarks.

    Args:
        labeled: (B, N, 2) labels.
        predicted: (B, N, 2) predictions; they also give the contour's direction, as they are smoother than labels.
        sigma: (B, N) standard deviations of the predictions.
        before: (N,) previous landmark on the contour, see `atpn.data.contours`.
        after: (N,) next landmark on the contour.
        sliding: (N,) whether a landmark's position along the contour is uncertain.
    """
    size = rectangle_size(labeled)[:, None]
    along, across = (ALONG * size).square(), (ACROSS * size).square()
    along = torch.where(sliding, along, across)
    # Sigma is learned from distances to labels, so it includes their scatter; a quarter of its variance is kept.
    variance = sigma.square()
    variance = torch.maximum(variance - (along + across) / 2, variance / 4)
    tangent = predicted[:, after] - predicted[:, before]
    tangent = tangent / tangent.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    difference = predicted - labeled
    slid = (difference * tangent).sum(dim=-1, keepdim=True) * tangent
    gain, gain_along = across / (across + variance), along / (along + variance)
    return labeled + gain[..., None] * difference + (gain_along - gain)[..., None] * slid
