"""The landmark branch (thesis, section 3.2.1 and figure 3.2 b)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from atpn.model.backbone import HIGH, LOW, MID, Features, coarse_activation
from atpn.model.blocks import Multiview
from atpn.model.config import ATPNConfig
from atpn.model.heatmap_head import HeatmapHead
from atpn.model.layers import CoordConv, GlobalDepthwise, HardSwish, conv_norm, near_zero_linear
from atpn.model.refinement import Refinement

VECTOR = 512
"""Length of the face's vector at width 1.0."""
LOG_INITIAL_SIGMA = torch.tensor(0.03).log().item()
"""Logarithm of the initial standard deviation in crop widths: about a tenth of the inter-ocular distance."""


class Upsample(nn.Module):
    """Twofold upsampling by a dense 2×2 deconvolution; other forms explode or fail in the converters."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(inputs, outputs, 2, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, S, S) to (B, outputs, 2S, 2S)."""
        return self.norm(self.deconv(x))


class FaceEmbedding(NamedTuple):
    """Features that landmarks are predicted from."""

    vector: Tensor
    """(B, 512) of the whole face."""
    fine: Tensor
    """(B, 64, 28, 28) low features of the backbone, and those fused with the coarser levels; (B, 32, 28, 28), only
    the former, without `low_features`."""


class FaceVector(nn.Module):
    """Fuses the features of three levels into one vector of the face."""

    def __init__(self, config: ATPNConfig) -> None:
        super().__init__()
        low, mid, high = config.channels(LOW), config.channels(MID), config.channels(HIGH)
        vector, activation = config.channels(VECTOR), coarse_activation(config)
        coord = {"activation": activation, "coordinates": config.coord_conv}
        self.high_lateral = conv_norm(high, high, activation=activation)
        self.low_features = config.low_features
        if config.low_features:
            self.mid_lateral = conv_norm(mid, mid, activation=None)
            self.low_lateral = conv_norm(low, low, activation=None)
            self.high_to_mid = Upsample(high, mid)
            self.mid_to_low = Upsample(mid, low)
            self.fuse = activation()
            self.low_views, self.mid_views = _views(config, low), _views(config, mid)
        self.high_views = _views(config, high)
        if config.low_features:
            self.low_down = CoordConv(low, mid, config.low_grid, kernel=3, stride=2, **coord)
            self.mid_down = CoordConv(mid, high, config.mid_grid, kernel=3, stride=2, **coord)
        self.to_vector = CoordConv(high, vector, config.high_grid, **coord)
        self.gather = GlobalDepthwise(vector, config.high_grid)
        self.activation = HardSwish()  # no norm precedes it: a ReLU would die for all faces and channels at once

    def forward(self, features: Features) -> Tensor:
        """Map features to a (B, 512) vector."""
        return self.embed(features).vector

    def embed(self, features: Features) -> FaceEmbedding:
        """Map features to everything that landmarks are predicted from."""
        high = self.high_lateral(features.high)
        if not self.low_features:
            return FaceEmbedding(self._vector(self.high_views(high)), features.low)
        mid = self.fuse(self.mid_lateral(features.mid) + self.high_to_mid(high))
        low = self.low_views(self.fuse(self.low_lateral(features.low) + self.mid_to_low(mid)))
        mid = self.mid_views(mid) + self.low_down(low)
        high = self.high_views(high) + self.mid_down(mid)
        return FaceEmbedding(self._vector(high), torch.cat([features.low, low], dim=1))

    def _vector(self, high: Tensor) -> Tensor:
        return self.activation(self.gather(self.to_vector(high)))


def _views(config: ATPNConfig, channels: int) -> nn.Module:
    if not config.multiview:
        return nn.Identity()
    return Multiview(channels, config.separable_views, coarse_activation(config))


class LandmarkBranch(FaceVector):
    """Landmarks as mean shape plus a linear function of the face's vector, then refined."""

    mean_shape: Tensor

    def __init__(self, config: ATPNConfig, mean_shape: Tensor) -> None:
        super().__init__(config)
        count, vector = config.landmark_count, config.channels(VECTOR)
        if mean_shape.shape != (count, 2):
            raise ValueError(
                f"scheme {config.scheme.name} needs a ({count}, 2) mean shape, got {tuple(mean_shape.shape)}"
            )
        self.residual = near_zero_linear(vector, 2 * count)
        self.log_sigma = near_zero_linear(vector, count, LOG_INITIAL_SIGMA) if config.uncertainty else None
        self.refinement = Refinement(config) if config.refinement_channels else None
        self.heatmaps = HeatmapHead(config) if config.heatmaps != "none" else None
        self.ambiguity = near_zero_linear(vector, 2 * count) if config.ambiguity else None
        self.offsets: nn.Parameter | None = None
        """(K, N, 2) offset of each other convention, in widths of the mean shape's crop."""
        if config.conventions:
            self.offsets = nn.Parameter(torch.zeros(config.conventions, count, 2))
        self.register_buffer("mean_shape", mean_shape.detach().clone().float())

    def forward(self, features: Features) -> tuple[Tensor, Tensor]:
        """Map features to (B, N, 2) landmarks in [0, 1] of the crop and their (B, N) log standard deviations.

        Both are float32 also inside autocast: bfloat16 steps would be half a pixel. Without an uncertainty head the
        second is -inf, a standard deviation of zero.
        """
        return self.read(self.embed(features))

    def read(self, embedding: FaceEmbedding) -> tuple[Tensor, Tensor]:
        """Run `forward` from the embedding on."""
        return self.estimates(embedding)[-1]

    def estimates(self, embedding: FaceEmbedding) -> list[tuple[Tensor, Tensor]]:
        """Return the first estimate and, if the network has a refinement, the refined one; each as in `forward`.

        With heatmaps, their estimate alone.
        """
        if self.heatmaps is not None:
            return [self.heatmaps.read(self.heatmaps(embedding.fine))]
        first = self.read_vector(embedding.vector)
        return [first] if self.refinement is None else [first, self.refinement(embedding.fine, *first)]

    def read_vector(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first estimate from the (B, 512) vector, as in `forward`."""
        residual, log_sigma = self._read(vector)
        landmarks = self.mean_shape + residual.reshape(-1, *self.mean_shape.shape)
        if log_sigma is None:
            log_sigma = torch.full_like(landmarks[..., 0], -torch.inf)
        return landmarks, log_sigma

    def read_ambiguity(self, vector: Tensor) -> Tensor:
        """Map (B, 512) vectors to float32 (B, N, 2) shapes of the landmarks' distributions (see `train.losses.star`).

        The vector is detached, so this head does not train it. ValueError without the head.
        """
        if self.ambiguity is None:
            raise ValueError("this network was made without an ambiguity head; see ATPN.with_config")
        with torch.autocast(vector.device.type, enabled=False):
            return self.ambiguity(vector.detach().float()).reshape(-1, *self.mean_shape.shape)

    def _read(self, vector: Tensor) -> tuple[Tensor, Tensor | None]:
        if torch.is_autocast_enabled(vector.device.type):
            with torch.autocast(vector.device.type, enabled=False):
                return self._read(vector.float())
        # Uncertainty describes the errors that the vector leaves; it must not shape the vector.
        return self.residual(vector), None if self.log_sigma is None else self.log_sigma(vector.detach())
