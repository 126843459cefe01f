"""Loss of the tracking branch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def tracking_loss(logits: Tensor, is_face: Tensor, balanced: bool = True, face_weight: float = 1.0) -> Tensor:
    """Compute the two-class cross-entropy of (B, 2) logits and (B,) labels.

    `balanced` weighs the class of faces `face_weight` times as much as the other one, whatever their numbers.
    Unbalanced, with ten negatives per positive, uncertain crops are classified as background. The thesis' equation 3.5
    has (1 - log p) in place of the cross-entropy's log(1 - p), which is used here.
    """
    if not balanced:
        return F.cross_entropy(logits, is_face.long())
    losses = F.cross_entropy(logits, is_face.long(), reduction="none")
    positive = is_face.to(losses.dtype)
    counts = torch.stack([1 - positive, positive]).sum(dim=1)
    shares = losses.new_tensor([1.0, face_weight]) * (counts > 0)
    return (losses * (shares / shares.sum() / counts.clamp_min(1))[is_face.long()]).sum()
