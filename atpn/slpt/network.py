"""SLPT and DSLPT: a landmark's place within a patch around it, stage by stage (thesis, sections 4.2 and 5.2)."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from atpn.model.atpn import ATPN, ATPNOutput
from atpn.model.decoder_layer import Attention, DecoderLayer
from atpn.model.layers import near_zero_linear
from atpn.model.network import Network
from atpn.slpt.config import SLPTConfig
from atpn.slpt.features import Reduction, new_backbone, normalization
from atpn.slpt.patches import FIRST_SIDE, next_side, patch_corners, sample_patches

LOG_INITIAL_SIGMA = torch.tensor(0.2).log().item()
"""Logarithm of the initial standard deviation, in patch units: the mean face's error in a first patch."""


class Stage(NamedTuple):
    """One stage's patches, and the landmarks that each of D layers finds in them."""

    corners: Tensor
    """(B, N, 2) top left corners of the patches, in [0, 1] of the crop."""
    side: Tensor
    """(B, N, 1) their sides."""
    mean: Tensor
    """(D, B, N, 2) places in the patch: 0 at its top left corner, 1 at its bottom right one."""
    log_sigma: Tensor | None
    """(D, B, N, 2) logarithms of the standard deviations along x and y, in patch units; None without uncertainty."""
    attention: list[Attention]
    """Weights of each layer, with None unless asked for."""

    @property
    def landmarks(self) -> Tensor:
        """(D, B, N, 2) places in [0, 1] of the crop (equations 4.7 and 5.5)."""
        return self.corners + self.side * self.mean

    @property
    def sigma(self) -> Tensor | None:
        """(D, B, N, 2) standard deviations in crop widths (equation 5.6)."""
        return None if self.log_sigma is None else self.side * self.log_sigma.exp()


class Relation(nn.Module):
    """Landmark queries, structure encodings, and the inherent-relation layers."""

    def __init__(self, config: SLPTConfig) -> None:
        super().__init__()
        count, dim = config.scheme.count, config.dim
        self.queries = nn.Parameter(torch.empty(count, dim))
        self.encoding = nn.Parameter(torch.empty(count, dim)) if config.structure_encoding else None
        for table in (self.queries, self.encoding):
            if table is not None:
                nn.init.xavier_uniform_(table)
        blocks = config.self_attention, config.cross_attention
        self.layers = nn.ModuleList(DecoderLayer(dim, config.heads, *blocks) for _ in range(config.layers))
        self.own_patch = config.own_patch or not config.cross_attention

    def forward(self, patches: Tensor, weights: bool = False) -> tuple[list[Tensor], list[Attention]]:
        """Map the landmarks' (B, N, d) representations to every layer's (B, N, d) tokens and attention weights."""
        tokens = patches if self.own_patch else torch.zeros_like(patches)
        position = patches.new_zeros(()) if self.encoding is None else self.encoding
        outputs, attentions = [], []
        for layer in self.layers:
            tokens, attention = layer(tokens, self.queries, patches, position, weights)
            outputs.append(tokens)
            attentions.append(attention)
        return outputs, attentions


class Head(nn.Module):
    """A place in the patch and its uncertainty; all layers and stages share it."""

    def __init__(self, dim: int, uncertainty: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.hidden = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU())
        self.mean = near_zero_linear(2 * dim, 2, 0.5)
        self.log_sigma = near_zero_linear(2 * dim, 2, LOG_INITIAL_SIGMA) if uncertainty else None

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map (..., d) tokens to float32 (..., 2) means and, with uncertainty, log standard deviations."""
        hidden = self.hidden(self.norm(tokens))
        with torch.autocast(tokens.device.type, enabled=False):  # bfloat16 steps would be a tenth of a pixel
            hidden = hidden.float()
            return self.mean(hidden), None if self.log_sigma is None else self.log_sigma(hidden)


class SLPT(Network):
    """SLPT, or DSLPT if its config has uncertainty and limits of shrinking."""

    PARTS = ("backbone", "reduction", "embedding", "relation", "head")
    config: SLPTConfig
    image_mean: Tensor
    image_std: Tensor
    mean_shape: Tensor
    """(N, 2) initial landmarks in [0, 1] of the crop."""

    def __init__(self, config: SLPTConfig, mean_shape: Tensor) -> None:
        super().__init__()
        count = config.scheme.count
        if mean_shape.shape != (count, 2):
            raise ValueError(
                f"scheme {config.scheme.name} needs a ({count}, 2) mean shape, got {tuple(mean_shape.shape)}"
            )
        self.config = config
        for name, values in zip(("image_mean", "image_std"), normalization(config), strict=True):
            self.register_buffer(name, torch.tensor(values)[:, None, None])
        self.register_buffer("mean_shape", mean_shape.detach().clone().float())
        self.backbone, levels = new_backbone(config)
        self.reduction = Reduction(levels, config.channels)
        # A convolution as large as a patch, as a linear layer.
        self.embedding = nn.Linear(len(levels) * config.channels * config.patch**2, config.dim)
        self.relation = Relation(config)
        self.head = Head(config.dim, config.uncertainty)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SLPT:
        """See `Network.from_config`; the mean shape is all zeros until weights are loaded."""
        options = SLPTConfig.from_stored(config)
        return cls(options, torch.zeros(options.scheme.count, 2))

    @property
    def stored_config(self) -> dict[str, Any]:
        """See `Network.stored_config`."""
        return {**vars(self.config), "scheme": self.config.scheme.reference}

    def maps(self, image: Tensor) -> list[Tensor]:
        """Compute the reduced feature maps of (B, 3, S, S) RGB images, 0 to 255, fine to coarse."""
        size = self.config.input_size
        if image.shape[1:] != (3, size, size):
            raise ValueError(f"this network takes (B, 3, {size}, {size}) images, got {tuple(image.shape)}")
        return self.reduction(list(self.backbone((image - self.image_mean) / self.image_std)))

    def stages(self, image: Tensor, weights: bool = False) -> list[Stage]:
        """Locate the landmarks of (B, 3, S, S) RGB images, 0 to 255, stage by stage; `weights` keeps the attention.

        A stage's patches are around the former stage's last landmarks. No gradient flows through places and sides of
        patches, as in the authors' code; the thesis does not say.
        """
        config, maps = self.config, self.maps(image)
        centers = self.mean_shape.expand(len(image), -1, -1)
        side = torch.full_like(centers[..., :1], FIRST_SIDE)
        stages: list[Stage] = []
        for _ in range(config.stages):
            corners = patch_corners(centers, side)
            patches = sample_patches(maps, corners, side, config.patch)
            tokens, attention = self.relation(self.embedding(patches.flatten(2)), weights)
            stage = Stage(corners, side, *self.head(torch.stack(tokens)), attention)
            stages.append(stage)
            centers = stage.landmarks[-1].detach()
            sigma = None if stage.log_sigma is None else stage.log_sigma[-1].exp()
            side = next_side(side, sigma, config.min_shrink, config.max_shrink)
        return stages

    def forward(self, image: Tensor) -> ATPNOutput:
        """Return the last stage's landmarks for (B, 3, S, S) RGB images, 0 to 255; pose and confidence are NaN.

        The uncertainty is the root mean square of the standard deviations along x and y; zeros without.
        """
        last = self.stages(image)[-1]
        landmarks = last.landmarks[-1]
        nothing = torch.full_like(landmarks[:, 0, 0], torch.nan)
        uncertainty = torch.zeros_like(landmarks[..., 0])
        if (sigma := last.sigma) is not None:
            uncertainty = sigma[-1].square().mean(dim=-1).sqrt()
        return ATPNOutput(landmarks, uncertainty, nothing[:, None].expand(-1, 3), nothing)

    def resized(self, size: int) -> SLPT:
        """Return a copy for another input size; no weight depends on it."""
        other = copy.deepcopy(self)
        other.config = replace(self.config, input_size=size)
        return other


def new_slpt(config: SLPTConfig, mean_shape: Tensor, seed: int) -> SLPT:
    """Build an untrained network that starts from an (N, 2) mean shape in [0, 1] of the crop."""
    torch.manual_seed(seed)
    return SLPT(config, mean_shape)


def take_features(slpt: SLPT, atpn: ATPN) -> None:
    """Copy a trained ATPN's backbone; ValueError for another width, or a network with another backbone."""
    if slpt.config.backbone != "atpn":
        raise ValueError(f"a {slpt.config.backbone} cannot take ATPN's features; use --size small")
    if atpn.config.width != 1.0:
        raise ValueError(f"SLPT needs features of an ATPN of width 1, got width {atpn.config.width:g}")
    slpt.backbone.load_state_dict(atpn.backbone.state_dict())
