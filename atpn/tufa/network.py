"""TUFA: a network that locates any points of the mean-face plane on a face (thesis, chapter 6)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
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
    """Encoder, structure prompts, decoder, and anchors of the training schemes.

    The plane is that of `atpn.synthetic.heads.dense`: [0, 1] of the crop around a neutral face seen from the front.
    """

    PARTS = ("features", "encoder", "decoder", "alignment")
    config: TUFAConfig
    image_mean: Tensor
    image_std: Tensor
    mean_shapes: Tensor

    def __init__(self, config: TUFAConfig, mean_shapes: Tensor) -> None:
        """Take the (sum of counts, 2) mean shapes of the config's schemes on the plane, concatenated."""
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
        """Semantic alignment embeddings A (section 6.2.2) in plane units; row 0, of no scheme, stays zero."""
        nn.init.zeros_(self.alignment.weight)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TUFA:
        """See `Network.from_config`; the mean shapes are all zeros until weights are loaded."""
        # Earlier checkpoints lack the field.
        options = TUFAConfig(**{"separable_views": False, **config})
        return cls(options, torch.zeros(sum(count for _, count in options.schemes), 2))

    def rows(self, scheme: str) -> slice:
        """Return the rows of a scheme's points in the mean shapes; ValueError for an unknown one."""
        start = 0
        for name, count in self.config.schemes:
            if name == scheme:
                return slice(start, start + count)
            start += count
        known = ", ".join(name for name, _ in self.config.schemes)
        raise ValueError(f"this network has no anchors of {scheme!r}; it knows {known}")

    def scheme_of(self, name: str) -> str:
        """Return the landmark scheme of a training set's anchors; other anchors are called by their scheme."""
        return dict(self.config.sets).get(name, name)

    def anchors(self, scheme: str) -> Tensor:
        """Return the (N, 2) aligned mean shape of a scheme on the plane: the query points for its landmarks."""
        rows = self.rows(scheme)
        return (self.mean_shapes[rows] + self.alignment.weight[1:][rows]).detach()

    def image_feature(self, image: Tensor) -> Tensor:
        """Compute the (B, L, C) image feature F of (B, 3, S, S) RGB, 0 to 255; it serves any number of queries."""
        size = self.config.input_size
        if image.shape[1:] != (3, size, size):
            raise ValueError(f"this network takes (B, 3, {size}, {size}) images, got {tuple(image.shape)}")
        return self.encoder(self.features((image - self.image_mean) / self.image_std))

    def mapped(self, feature: Tensor, plane: Tensor) -> Tensor:
        """Map (B, M, 2) plane points to (B, M, 2) points in [0, 1] of the crop, given the (B, L, C) image feature."""
        step = self.decoder(self._prompts(plane, feature.dtype), feature, self.encoder.position)
        return plane + step.float()

    def attention(self, feature: Tensor, plane: Tensor) -> Tensor:
        """Return (B, M, G, G) attention of each prompt to each patch, mean of heads and layers (figure 6.8)."""
        prompts = self._prompts(plane, feature.dtype)
        attentions = self.decoder.tokens(prompts, feature, self.encoder.position, weights=True)[1]
        grid = self.config.grid
        return torch.stack(attentions).mean(0)[..., : grid**2].unflatten(-1, (grid, grid))

    def forward(self, image: Tensor, plane: Tensor, row: Tensor | None = None, flipped: Tensor | None = None) -> Tensor:
        """Locate (B, M, 2) plane points on (B, 3, S, S) RGB crops, 0 to 255: (B, M, 2) in [0, 1] of the crop.

        Prompts attend to each other, so the answers depend on all points of a query: see `context_of`. `row` (B, M) is
        the alignment embedding of each point: 1 + its row in the mean shapes, or 0. Those of crops that are `flipped`
        (B,), whose points are mirrored, are mirrored as well.
        """
        if row is not None:
            offset = self.alignment(row)
            if flipped is not None:
                offset = torch.where(flipped[:, None, None], offset * offset.new_tensor([-1.0, 1.0]), offset)
            plane = plane + offset
        return self.mapped(self.image_feature(image), plane)

    def _prompts(self, plane: Tensor, dtype: torch.dtype) -> Tensor:
        return structure_prompts(self.config.prompt_scale * (2 * plane.float() - 1), self.config.dim).to(dtype)

    def with_scheme(self, name: str, plane: np.ndarray, scheme: str | None = None) -> TUFA:
        """Return a copy with another scheme's (N, 2) mean shape, not yet aligned; a known name is replaced.

        The landmarks of a set called `name` have another scheme's name, `scheme`.
        """
        kept = [(old, self.rows(old)) for old, _ in self.config.schemes if old != name]
        shapes = torch.cat([*(self.mean_shapes[rows] for _, rows in kept), torch.tensor(plane).to(self.mean_shapes)])
        schemes = (*((old, rows.stop - rows.start) for old, rows in kept), (name, len(plane)))
        other = copy.deepcopy(self)
        sets = [pair for pair in self.config.sets if pair[0] != name]
        sets += [] if scheme in (None, name) else [(name, scheme)]
        other.config = replace(self.config, schemes=schemes, sets=tuple(sets))
        other.mean_shapes = shapes
        other.alignment = nn.Embedding(1 + len(shapes), 2, padding_idx=0).to(shapes.device)
        with torch.no_grad():
            learned = [self.alignment.weight[1:][rows] for _, rows in kept]
            other.alignment.weight.copy_(torch.cat([shapes.new_zeros(1, 2), *learned, shapes.new_zeros(len(plane), 2)]))
        return other

    def resized(self, size: int) -> TUFA:
        """Return a copy for another input size, with resampled positions."""
        other = copy.deepcopy(self)
        other.config = replace(self.config, input_size=size)
        learned, before = self.encoder.position, self.config.grid**2
        position = [resampled_position(learned[:before], other.config.grid), learned[before:].detach()]
        other.encoder.position = nn.Parameter(torch.cat(position), requires_grad=learned.requires_grad)
        resample_grids(other.features, self.config.input_size, size)
        return other


def new_tufa(
    config: TUFAConfig, shapes: Mapping[str, np.ndarray], seed: int, sets: Mapping[str, str] | None = None
) -> TUFA:
    """Build an untrained network with these (N, 2) mean shapes on the plane, by scheme or by training set.

    `sets` are the landmark schemes of the training sets.
    """
    torch.manual_seed(seed)
    schemes = tuple((name, len(shape)) for name, shape in shapes.items())
    config = replace(config, schemes=schemes, sets=tuple((sets or {}).items()))
    together = np.concatenate([*shapes.values(), np.zeros((0, 2), np.float32)])
    return TUFA(config, torch.from_numpy(together).float())


def take_features(tufa: TUFA, atpn: ATPN) -> None:
    """Copy a trained ATPN's features; ValueError for another width or version, or for tokens that are patches."""
    if not isinstance(tufa.features, ATPNFeatures):
        raise ValueError("a TUFA of patches cannot take ATPN's features; use --size small")
    if atpn.config.width != 1.0:
        raise ValueError(f"TUFA needs features of an ATPN of width 1, got width {atpn.config.width:g}")
    if atpn.config.input_size != tufa.config.input_size:
        atpn = atpn.resized(tufa.config.input_size)
    if atpn.config.separable_views != tufa.config.separable_views:
        raise ValueError(
            f"separable_views is {tufa.config.separable_views} in TUFA's features and {atpn.config.separable_views} in "
            "the ATPN; use weights of one version of the network"
        )
    names = tufa.features.face_vector.state_dict().keys()
    branch = atpn.landmark_branch.state_dict()
    tufa.features.backbone.load_state_dict(atpn.backbone.state_dict())
    tufa.features.face_vector.load_state_dict({name: branch[name] for name in names})


def take_weights(tufa: TUFA, known: TUFA) -> None:
    """Copy another TUFA's weights, but not its anchors; ValueError if it has another architecture."""
    if known.config.input_size != tufa.config.input_size:
        known = known.resized(tufa.config.input_size)
    same = {"schemes": (), "sets": (), "dense": True}
    if replace(known.config, **same) != replace(tufa.config, **same):
        raise ValueError("the weights are of another architecture; start from a checkpoint of the same --size")
    tufa.image_mean.copy_(known.image_mean)
    tufa.image_std.copy_(known.image_std)
    for part in ("features", "encoder", "decoder"):
        getattr(tufa, part).load_state_dict(getattr(known, part).state_dict())
