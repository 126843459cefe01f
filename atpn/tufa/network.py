"""TUFA: any points of the mean-face plane, found on a face (thesis, chapter 6)."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atpn.model.atpn import ATPN, IMAGE_MEAN, IMAGE_STD
from atpn.model.layers import resample_grids
from atpn.model.network import Network
from atpn.tufa.config import TUFAConfig
from atpn.tufa.decoder import Decoder, structure_prompts
from atpn.tufa.encoder import ATPNFeatures, Encoder, Pixels, resampled_position


class TUFA(Network):
    """Encoder, structure prompts, decoder, and the anchors of the schemes that it was trained with.

    The plane is that of `atpn.synthetic.heads.dense`: [0, 1] of the crop around a neutral face seen from the front.
    """

    PARTS = ("features", "encoder", "decoder", "alignment")
    config: TUFAConfig
    image_mean: Tensor
    image_std: Tensor
    mean_shapes: Tensor

    def __init__(self, config: TUFAConfig, mean_shapes: Tensor) -> None:
        """`mean_shapes` are the (sum of counts, 2) places of the config's schemes on the plane, one after another."""
        super().__init__()
        total = sum(count for _, count in config.schemes)
        if mean_shapes.shape != (total, 2):
            raise ValueError(f"the schemes have {total} points together, got mean shapes {tuple(mean_shapes.shape)}")
        self.config = config
        self.register_buffer("image_mean", torch.tensor(IMAGE_MEAN)[:, None, None])
        self.register_buffer("image_std", torch.tensor(IMAGE_STD)[:, None, None])
        self.register_buffer("mean_shapes", mean_shapes.detach().clone().float())
        self.features = Pixels(config) if config.embedding == "patches" else ATPNFeatures(config)
        self.encoder = Encoder(config, self.features.channels, self.features.vector)
        self.decoder = Decoder(config)
        self.alignment = nn.Embedding(1 + total, 2, padding_idx=0)
        """Semantic alignment embeddings A (section 6.2.2) in plane units; row 0 is for points that belong to no scheme
        and stays zero."""
        nn.init.zeros_(self.alignment.weight)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TUFA:
        """See `Network.from_config`; the mean shapes are all zeros until weights are loaded."""
        # A checkpoint without the field is older than it.
        options = TUFAConfig(**{"separable_views": False, **config})
        return cls(options, torch.zeros(sum(count for _, count in options.schemes), 2))

    def rows(self, scheme: str) -> slice:
        """Where a scheme's points lie among the mean shapes; ValueError lists the known ones."""
        start = 0
        for name, count in self.config.schemes:
            if name == scheme:
                return slice(start, start + count)
            start += count
        known = ", ".join(name for name, _ in self.config.schemes)
        raise ValueError(f"this network has no anchors of {scheme!r}; it knows {known}")

    def anchors(self, scheme: str) -> Tensor:
        """(N, 2) aligned mean shape of a scheme on the plane: what to ask for to get its landmarks."""
        rows = self.rows(scheme)
        return (self.mean_shapes[rows] + self.alignment.weight[1:][rows]).detach()

    def image_feature(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) RGB, 0 to 255, to the (B, L, C) image feature F, to be asked as often as wanted."""
        size = self.config.input_size
        if image.shape[1:] != (3, size, size):
            raise ValueError(f"this network takes (B, 3, {size}, {size}) images, got {tuple(image.shape)}")
        return self.encoder(self.features((image - self.image_mean) / self.image_std))

    def mapped(self, feature: Tensor, plane: Tensor) -> Tensor:
        """(B, L, C) image feature and (B, M, 2) plane points to (B, M, 2) places in [0, 1] of the crop."""
        step = self.decoder(self._prompts(plane, feature.dtype), feature, self.encoder.position)
        return plane + step.float()

    def attention(self, feature: Tensor, plane: Tensor) -> Tensor:
        """(B, M, G, G): how much each prompt looks at each token, mean of heads and layers (figure 6.8)."""
        prompts = self._prompts(plane, feature.dtype)
        attentions = self.decoder.tokens(prompts, feature, self.encoder.position, weights=True)[1]
        grid = self.config.grid
        return torch.stack(attentions).mean(0)[..., : grid**2].unflatten(-1, (grid, grid))

    def forward(self, image: Tensor, plane: Tensor, row: Tensor | None = None) -> Tensor:
        """(B, 3, S, S) RGB, 0 to 255, and (B, M, 2) plane points to (B, M, 2) places in [0, 1] of the crop.

        `row` (B, M) names each point's alignment embedding: 1 + its place among the mean shapes, or 0. Prompts see
        each other, so what is asked together changes the answers: `predict_plane` has context to ask along.
        """
        if row is not None:
            plane = plane + self.alignment(row)
        return self.mapped(self.image_feature(image), plane)

    def _prompts(self, plane: Tensor, dtype: torch.dtype) -> Tensor:
        return structure_prompts(self.config.prompt_scale * (2 * plane.float() - 1), self.config.dim).to(dtype)

    def with_scheme(self, name: str, plane: np.ndarray) -> TUFA:
        """A copy with another scheme's (N, 2) mean shape, not yet aligned; a known name is replaced."""
        kept = [(old, self.rows(old)) for old, _ in self.config.schemes if old != name]
        shapes = torch.cat([*(self.mean_shapes[rows] for _, rows in kept), torch.tensor(plane).to(self.mean_shapes)])
        schemes = (*((old, rows.stop - rows.start) for old, rows in kept), (name, len(plane)))
        other = copy.deepcopy(self)
        other.config = replace(self.config, schemes=schemes)
        other.mean_shapes = shapes
        other.alignment = nn.Embedding(1 + len(shapes), 2, padding_idx=0).to(shapes.device)
        with torch.no_grad():
            learned = [self.alignment.weight[1:][rows] for _, rows in kept]
            other.alignment.weight.copy_(torch.cat([shapes.new_zeros(1, 2), *learned, shapes.new_zeros(len(plane), 2)]))
        return other

    def resized(self, size: int) -> TUFA:
        """A copy for another input size: positions are resampled, everything else carries over."""
        other = copy.deepcopy(self)
        other.config = replace(self.config, input_size=size)
        learned, before = self.encoder.position, self.config.grid**2
        position = [resampled_position(learned[:before], other.config.grid), learned[before:].detach()]
        other.encoder.position = nn.Parameter(torch.cat(position), requires_grad=learned.requires_grad)
        resample_grids(other.features, self.config.input_size, size)
        return other


def new_tufa(config: TUFAConfig, schemes: dict[str, np.ndarray], seed: int) -> TUFA:
    """An untrained network with these schemes' (N, 2) mean shapes on the plane."""
    torch.manual_seed(seed)
    config = replace(config, schemes=tuple((name, len(shape)) for name, shape in schemes.items()))
    shapes = np.concatenate([*schemes.values(), np.zeros((0, 2), np.float32)])
    return TUFA(config, torch.from_numpy(shapes).float())


def take_features(tufa: TUFA, atpn: ATPN) -> None:
    """See what a trained ATPN sees; ValueError for another width, or for tokens that are pieces of the picture."""
    if not isinstance(tufa.features, ATPNFeatures):
        raise ValueError("only a TUFA whose tokens are ATPN's features can begin with them; use --size small")
    if atpn.config.width != 1.0:
        raise ValueError(f"TUFA's features are of an ATPN of width 1, got one of width {atpn.config.width:g}")
    if atpn.config.input_size != tufa.config.input_size:
        atpn = atpn.resized(tufa.config.input_size)
    if atpn.config.separable_views != tufa.config.separable_views:
        raise ValueError(
            f"this TUFA's features have separable_views {tufa.config.separable_views}, "
            f"the ATPN's {atpn.config.separable_views}; take weights of one version of the network"
        )
    wanted = tufa.features.face_vector.state_dict().keys()
    branch = atpn.landmark_branch.state_dict()
    tufa.features.backbone.load_state_dict(atpn.backbone.state_dict())
    tufa.features.face_vector.load_state_dict({name: branch[name] for name in wanted})
