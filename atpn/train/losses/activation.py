"""Penalty of activations that 8 bits cannot hold."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATION_LIMIT = 8.0
"""Of a normalised activation, whose standard deviation is about one: beyond it int8's steps become coarse."""


def range_loss(outputs: Sequence[Tensor]) -> Tensor:
    """How far layers' outputs, of any shapes, lie beyond ±ACTIVATION_LIMIT: means, summed over the layers.

    Nothing else keeps a network from answering a rare kind of face (say, one profile) with activations of a hundred
    standard deviations. In float that does no harm, but int8 spreads its 256 steps over whatever occurs.
    """
    return torch.stack([_excess(output) for output in outputs]).sum()


def _excess(output: Tensor) -> Tensor:
    if output.device.type == "cpu":
        # Most layers stay within: on a CPU one look costs less than the loss and its gradient, which would be 0.
        values = output.detach()
        low, high = (values.permute(0, 2, 3, 1) if values.ndim == 4 else values).aminmax()  # channels last: no copy
        if low >= -ACTIVATION_LIMIT and high <= ACTIVATION_LIMIT:
            return output.new_zeros((), dtype=torch.float32)
    return torch.linalg.vector_norm(F.softshrink(output.float(), ACTIVATION_LIMIT), 1) / output.numel()
