"""The ViT-based encoder of images into tokens (thesis, section 6.2.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atpn.model.backbone import Backbone
from atpn.model.config import ATPNConfig
from atpn.model.landmark_branch import FaceVector
from atpn.tufa.config import TUFAConfig

NORM_EPSILON = 1e-6
"""DINO's, for its weights."""


class View(NamedTuple):
    """Input of the transformer."""

    patches: Tensor
    """(B, K, G, G) pixels or features of each token's patch."""
    face: Tensor | None
    """(B, V) face embedding; None if the tokens are image patches."""


class Pixels(nn.Module):
    """Image patches as tokens."""

    def __init__(self, config: TUFAConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.channels, self.vector = 3 * config.patch**2, None

    def forward(self, image: Tensor) -> View:
        """Split a (B, 3, S, S) normalized image into patches."""
        return View(F.pixel_unshuffle(image, self.patch), None)


class ATPNFeatures(nn.Module):
    """ATPN's features of all three levels in each patch, and its face embedding."""

    def __init__(self, config: TUFAConfig) -> None:
        super().__init__()
        atpn = ATPNConfig(input_size=config.input_size, separable_views=config.separable_views)
        self.backbone, self.face_vector = Backbone(atpn), FaceVector(atpn)
        with torch.no_grad():
            view = self.eval()(torch.zeros(1, 3, config.input_size, config.input_size))
        self.channels, self.vector = view.patches.shape[1], view.face.shape[1]

    def forward(self, image: Tensor) -> View:
        """Compute features of a (B, 3, S, S) normalized image; the fine levels' cells are concatenated per patch."""
        features = self.backbone(image)
        cells = [F.pixel_unshuffle(features.low, 4), F.pixel_unshuffle(features.mid, 2), features.high]
        return View(torch.cat(cells, dim=1), self.face_vector(features))


class Encoder(nn.Module):
    """Pre-norm transformer blocks over tokens with learned positions."""

    def __init__(self, config: TUFAConfig, channels: int, vector: int | None) -> None:
        """Take the channels of a `View`'s patches and of its face embedding, None without one."""
        super().__init__()
        self.proj = nn.Conv2d(channels, config.dim, 1)
        self.patch_norm = nn.Identity() if vector is None else nn.LayerNorm(channels, eps=NORM_EPSILON)
        self.face_norm = None if vector is None else nn.LayerNorm(vector, eps=NORM_EPSILON)
        self.face = None if vector is None else nn.Linear(vector, config.dim)
        self.position = nn.Parameter(torch.empty(config.grid**2 + (vector is not None), config.dim))
        """(L, C) P: learned, and reused as the keys' position in the decoder (equation 6.9). The face's is the last."""
        nn.init.trunc_normal_(self.position, std=0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.dim,
                config.heads,
                4 * config.dim,
                dropout=0.0,
                activation="gelu",
                layer_norm_eps=NORM_EPSILON,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim, eps=NORM_EPSILON)

    def forward(self, view: View) -> Tensor:
        """Compute the (B, L, C) image feature F: a token per patch, then the face's."""
        patches = self.patch_norm(view.patches.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        tokens = self.proj(patches).flatten(2).transpose(1, 2)
        if self.face is not None:
            tokens = torch.cat([tokens, self.face(self.face_norm(view.face))[:, None]], dim=1)
        tokens = tokens + self.position
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


def resampled_position(position: Tensor, grid: int) -> Tensor:
    """Resample (G², C) learned positions to a grid of another side, bicubic, as usual for ViTs."""
    side = round(len(position) ** 0.5)
    square = position.detach().T.reshape(1, -1, side, side)
    return F.interpolate(square, size=(grid, grid), mode="bicubic", align_corners=False).flatten(2)[0].T.contiguous()
