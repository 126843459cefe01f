"""Structure prompts and the decoder (thesis, section 6.2.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from atpn.model.decoder_layer import DecoderLayer
from atpn.tufa.config import TUFAConfig

TAU = 10_000.0
"""Base of the wavelengths in equations 6.1 and 6.2."""


def structure_prompts(plane: Tensor, dim: int) -> Tensor:
    """Encode (..., 2) points on the plane, x then y, as (..., dim) structure prompts E (equations 6.1 to 6.3).

    The first half encodes x, the second y; sine and cosine alternate.
    """
    channel = torch.arange(dim // 4, device=plane.device, dtype=plane.dtype)
    angles = plane[..., None] / TAU ** (2 * channel / (0.5 * dim))  # (..., 2, dim / 4)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-3)


class Decoder(nn.Module):
    """Mapping of any number of prompts onto the face."""

    def __init__(self, config: TUFAConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(config.dim, config.heads) for _ in range(config.decoder_depth))
        self.norm = nn.LayerNorm(config.dim)
        self.read = nn.Sequential(
            *(nn.Linear(config.dim, config.dim), nn.GELU()),
            *(nn.Linear(config.dim, config.dim), nn.GELU()),
            nn.Linear(config.dim, 2),
        )
        nn.init.normal_(self.read[-1].weight, std=0.001)
        nn.init.zeros_(self.read[-1].bias)

    def forward(self, prompts: Tensor, image: Tensor, position: Tensor) -> Tensor:
        """Map (B, M, C) prompts, (B, L, C) image feature, and (L, C) position to (B, M, 2) steps from the anchors."""
        tokens = self.tokens(prompts, image, position)[0]
        return self.read(self.norm(tokens))

    def tokens(
        self, prompts: Tensor, image: Tensor, position: Tensor, weights: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the last layer's (B, M, C) tokens and, with `weights`, every layer's (B, M, L) cross-attention."""
        # The thesis does not define the first layer's T; with zeros, all points would be alike at first.
        tokens, attentions = prompts, []
        for layer in self.layers:
            tokens, attention = layer(tokens, prompts, image, position, weights)
            attentions += [] if attention.across is None else [attention.across]
        return tokens, attentions
