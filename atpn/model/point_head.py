"""Heads for additional points: of one template, or any query points on the mean-face plane.

Both read the vector that landmarks are predicted from, so the network tracks as before.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from atpn.model.landmark_branch import LOG_INITIAL_SIGMA

OCTAVES = 4
"""Octaves of the query points' Fourier features; the finest wave is an eighth of the crop."""
HIDDEN = 128
"""Width of the prompt head's two layers."""


class TemplateHead(nn.Module):
    """The points of one template, as a linear function of the face's vector."""

    plane: Tensor

    def __init__(self, vector: int, plane: Tensor) -> None:
        """Take the (M, 2) template on the mean-face plane, [0, 1] of the crop."""
        super().__init__()
        self.count = len(plane)
        self.residual = nn.Linear(vector, 2 * self.count)
        self.log_sigma = nn.Linear(vector, self.count)
        for layer in (self.residual, self.log_sigma):
            nn.init.normal_(layer.weight, std=0.001)
        nn.init.zeros_(self.residual.bias)
        nn.init.constant_(self.log_sigma.bias, LOG_INITIAL_SIGMA)
        self.register_buffer("plane", plane.detach().clone().float())

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, 512) vectors to (B, M, 2) points in [0, 1] of the crop and (B, M) log standard deviations."""
        return self.plane + self.residual(vector).unflatten(1, (self.count, 2)), self.log_sigma(vector)


class PromptHead(nn.Module):
    """Any query points on the mean-face plane.

    A point's displacement is linear in the face's vector. Its weights are a sum of `rank` fixed ones, each times a
    learned function of the query point (a DeepONet: Lu et al., 2021). A fixed template is therefore exactly a linear
    head, and a new one costs two small layers per point.
    """

    def __init__(self, vector: int, rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.coefficients = nn.Linear(vector, 3 * rank)
        """The face's part: for x, y and log sigma in turn."""
        self.basis = nn.Sequential(
            *(nn.Linear(2 + 4 * OCTAVES, HIDDEN), nn.SiLU()),
            *(nn.Linear(HIDDEN, HIDDEN), nn.SiLU()),
            nn.Linear(HIDDEN, 3 * rank),
        )
        """The place's part."""
        nn.init.normal_(self.coefficients.weight, std=0.02)
        nn.init.zeros_(self.coefficients.bias)
        nn.init.normal_(self.basis[-1].weight, std=0.01)
        nn.init.zeros_(self.basis[-1].bias)

    def forward(self, vector: Tensor, plane: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, 512) vectors and query points to (B, M, 2) points and (B, M) log standard deviations.

        `plane` is (M, 2) or (B, M, 2) query points; they and the points are in [0, 1] of the crop.
        """
        basis, coefficients = self.weights(plane), self.coefficients(vector).unflatten(1, (1, 3, self.rank))
        if self.training and plane.dim() == 2:
            # All products of a batch at once would be large; in converted files a sum of products needs no transpose.
            offsets = torch.einsum("mck,bck->bmc", basis, coefficients[:, 0])
        else:
            offsets = (basis * coefficients).sum(-1)
        return plane + offsets[..., :2], offsets[..., 2] + LOG_INITIAL_SIGMA

    def weights(self, plane: Tensor) -> Tensor:
        """Map (..., M, 2) query points to (..., M, 3, rank) values of the basis."""
        centered = 2 * plane - 1
        waves = [centered * (torch.pi * 2**octave) for octave in range(OCTAVES)]
        features = torch.cat([centered, *(wave.sin() for wave in waves), *(wave.cos() for wave in waves)], dim=-1)
        return self.basis(features).unflatten(-1, (3, self.rank))

    @torch.no_grad()
    def template(self, plane: Tensor) -> TemplateHead:
        """Return the head of one (M, 2) template, with the same results."""
        basis = self.weights(plane)  # (M, 3, K)
        weight = self.coefficients.weight.unflatten(0, (3, self.rank))  # (3, K, V)
        bias = self.coefficients.bias.unflatten(0, (3, self.rank))
        head = TemplateHead(weight.shape[-1], plane)
        folded = torch.einsum("mck,ckv->mcv", basis, weight)
        offset = torch.einsum("mck,ck->mc", basis, bias)
        head.residual.weight.copy_(folded[:, :2].flatten(0, 1))
        head.residual.bias.copy_(offset[:, :2].flatten())
        head.log_sigma.weight.copy_(folded[:, 2])
        head.log_sigma.bias.copy_(offset[:, 2] + LOG_INITIAL_SIGMA)
        return head
