"""Muon: steps along orthogonalized momentum for the weights that are matrices (Jordan et al., 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

MOMENTUM = 0.95
RMS = 0.2
"""Root mean square of a step per unit of learning rate, about AdamW's: rates and decay stay (Liu et al., 2025)."""
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz iteration; a few steps bring singular values near 1."""


def is_matrix(weight: Tensor) -> bool:
    """Return whether a weight mixes channels; depthwise kernels, norms, and biases do not."""
    return weight.ndim > 1 and weight.shape[1] > 1


class Muon(torch.optim.AdamW):
    """AdamW, except for parameter groups with `orthogonal`, whose weights are matrices.

    torch.optim.Muon rejects convolutions and multiplies in bfloat16, which is slow on many CPUs.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Take one step; the matrices' gradients become None."""
        for group in self.param_groups:
            if not group.get("orthogonal"):
                continue
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                average = state.setdefault("exp_avg", torch.zeros_like(weight)).lerp_(weight.grad, 1 - MOMENTUM)
                update = orthogonalized(weight.grad.lerp(average, MOMENTUM).flatten(1))
                scale = RMS * max(update.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update.view(weight.shape), alpha=-group["lr"] * scale)
                weight.grad = None  # AdamW passes over parameters without a gradient
        super().step(closure)


def orthogonalized(matrix: Tensor) -> Tensor:
    """Return an (R, C) matrix with the same singular vectors and singular values near 1."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide.float() / wide.norm().clamp_min(1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if wide is not matrix else x).contiguous()
