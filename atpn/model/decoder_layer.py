"""A transformer decoder's layer: TUFA's (thesis, section 6.2.1) and SLPT's inherent-relation layer (section 4.2.1)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


class Attention(NamedTuple):
    """Attention weights of one layer, averaged over the heads; None for a block that the layer lacks."""

    among: Tensor | None
    """(B, M, M) of each token to each token."""
    across: Tensor | None
    """(B, M, L) of each token to each memory vector."""


class DecoderLayer(nn.Module):
    """Self-attention among the tokens, cross-attention to a memory, feed-forward; each after a norm.

    The thesis writes projections as C_h × C_h per head; its parameter counts (36 M for TUFA with ViT-S, 31.1 M for
    DSLPT with ResNet-34) are those of C × C ones, as here.
    """

    def __init__(self, dim: int, heads: int, self_attention: bool = True, cross_attention: bool = True) -> None:
        """Take C, the number of heads, and whether the layer has each attention block."""
        super().__init__()
        self.self_norm, self.cross_norm = (
            nn.LayerNorm(dim) if has else None for has in (self_attention, cross_attention)
        )
        self.feed_norm = nn.LayerNorm(dim)
        self.self_attention = nn.MultiheadAttention(dim, heads, batch_first=True) if self_attention else None
        self.cross_attention = nn.MultiheadAttention(dim, heads, batch_first=True) if cross_attention else None
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(
        self, tokens: Tensor, queries: Tensor, memory: Tensor, position: Tensor, weights: bool = False
    ) -> tuple[Tensor, Attention]:
        """Update the (B, M, C) tokens by (B, M, C) queries, a (B, L, C) memory, and its (L, C) position.

        Return also the attention weights, or None for both without `weights`.
        """
        among = across = None
        if self.self_attention is not None:  # equations 4.1, 4.2, and 6.6
            normed = self.self_norm(tokens)
            query = normed + queries
            attended, among = self.self_attention(query, query, normed, need_weights=weights)
            tokens = tokens + attended
        if self.cross_attention is not None:  # equations 4.3, 4.4, and 6.9
            query = self.cross_norm(tokens) + queries
            attended, across = self.cross_attention(query, memory + position, memory, need_weights=weights)
            tokens = tokens + attended
        return tokens + self.feed(self.feed_norm(tokens)), Attention(among, across)


def fast_attention(device: torch.device) -> AbstractContextManager[None]:
    """Use the attention kernel with the fastest backward pass for few tokens while the context is open."""
    # On a CPU, the backward pass of PyTorch's fused attention takes three times as long for so few tokens.
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
