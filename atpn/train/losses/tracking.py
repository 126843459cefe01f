"""Loss of the tracking branch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def tracking_loss(logits: Tensor, is_face: Tensor, balanced: bool = True) -> Tensor:
    """Compute the two-class cross-entropy of (B, 2) logits and (B,) labels; `balanced` weighs both classes alike.

    The thesis' equation 3.5 has (1 - log p) in place of the cross-entropy's log(1 - p), which is used here. Unbalanced,
    with ten negatives per positive, uncertain crops are classified as background.
    """
    if not balanced:
        return F.cross_entropy(logits, is_face.long())
    losses = F.cross_entropy(logits, is_face.long(), reduction="none")
    positive = is_face.to(losses.dtype)
    counts = torch.stack([1 - positive, positive]).sum(dim=1)
    present = (counts > 0).to(losses.dtype).sum()
    weights = torch.where(is_face.bool(), 1 / counts[1].clamp_min(1), 1 / counts[0].clamp_min(1)) / present
    return (losses * weights).sum()
