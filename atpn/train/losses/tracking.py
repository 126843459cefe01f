"""Loss of the tracking branch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def tracking_loss(logits: Tensor, is_face: Tensor, balanced: bool = True) -> Tensor:
    """Two-class cross-entropy of (B, 2) logits and (B,) labels; `balanced` lets both classes weigh one half.

    The thesis' equation 3.5 has (1 - log p) where the cross-entropy has log(1 - p); unbalanced, this is the
    cross-entropy that it means. With ten negatives for each positive, that answers "background" whenever in doubt.
    """
    if not balanced:
        return F.cross_entropy(logits, is_face.long())
    losses = F.cross_entropy(logits, is_face.long(), reduction="none")
    positive = is_face.to(losses.dtype)
    counts = torch.stack([1 - positive, positive]).sum(dim=1)
    present = (counts > 0).to(losses.dtype).sum()
    weights = torch.where(is_face.bool(), 1 / counts[1].clamp_min(1), 1 / counts[0].clamp_min(1)) / present
    return (losses * weights).sum()
