"""Penalty of activations that int8 cannot represent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATION_LIMIT = 8.0
"""Maximum of a normalized activation, whose standard deviation is about one, that int8 resolves finely."""


def activation_penalty(outputs: Sequence[Tensor]) -> Tensor:
    """Sum over layers the mean excess of their outputs, of any shapes, beyond ±ACTIVATION_LIMIT.

    Without it, rare faces (one profile, say) may give activations of a hundred standard deviations. They do no harm in
    float, but int8 spreads its 256 steps over the whole range.
    """
    return torch.stack([_excess(output) for output in outputs]).sum()


def _excess(output: Tensor) -> Tensor:
    if output.device.type == "cpu":
        # Most layers stay within: on a CPU a check costs less than the loss and its gradient, which would be 0.
        values = output.detach()
        low, high = (values.permute(0, 2, 3, 1) if values.ndim == 4 else values).aminmax()  # channels last: no copy
        if low >= -ACTIVATION_LIMIT and high <= ACTIVATION_LIMIT:
            return output.new_zeros((), dtype=torch.float32)
    return torch.linalg.vector_norm(F.softshrink(output.float(), ACTIVATION_LIMIT), 1) / output.numel()
