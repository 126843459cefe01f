"""Architecture options of SLPT and DSLPT. Light to import: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from atpn.model.config import INPUT_SIZE_STEP, MAX_INPUT_SIZE
from edge_runtime.landmarks import WFLW_98, LandmarkScheme

Backbone = Literal["atpn", "resnet34", "resnet50"]
Loss = Literal["l1", "l2", "gaussian", "laplace"]
NetworkName = Literal["slpt", "dslpt"]
Size = Literal["small", "resnet34", "resnet50"]

LIKELIHOODS: tuple[Loss, ...] = ("gaussian", "laplace")
"""Losses that make a network predict uncertainty."""
_LIMITS = {"stages": 8, "layers": 24, "heads": 64, "patch": 15, "dim": 512, "channels": 128}
"""Maxima of a config's counts: a damaged one must not fill the memory."""


@dataclass(frozen=True)
class SLPTConfig:
    """Architecture; two networks with equal configs take each other's weights. The defaults are DSLPT's, small."""

    scheme: LandmarkScheme = WFLW_98
    """Landmark scheme; stored as its name, or its definition if it is not a known one."""
    backbone: Backbone = "atpn"
    """Source of the feature maps."""
    input_size: int = 112
    """Side of the crop in pixels."""
    loss: Loss = "gaussian"
    """What the network is trained with. With a likelihood it predicts standard deviations, those of this density."""
    min_shrink: float = 0.5
    """L_down: minimum side of the next stage's patch over the present one's."""
    max_shrink: float = 0.7
    """L_up: maximum of the same. Equal limits halve, or shrink otherwise, every patch alike, as SLPT does."""
    stages: int = 3
    layers: int = 4
    """Inherent-relation layers, shared by the stages."""
    dim: int = 64
    """d, the length of a landmark's vectors."""
    heads: int = 4
    patch: int = 7
    """K: cells along a resized patch's side."""
    channels: int = 16
    """Channels that each level of the feature maps is reduced to."""
    self_attention: bool = True
    """Attention among the landmarks' queries (MSA)."""
    cross_attention: bool = True
    """Attention of queries to patches (MCA); without, the patches are the queries' content."""
    structure_encoding: bool = True
    """Learned encodings on the keys of the cross-attention."""
    own_patch: bool = True
    """Let the first layer's tokens be each landmark's own patch. With False they are zeros, as published: attention
    then has to learn first which patch is whose."""

    def __post_init__(self) -> None:
        if self.backbone not in ("atpn", "resnet34", "resnet50"):
            raise ValueError(f"backbone must be atpn, resnet34, or resnet50, got {self.backbone!r}")
        if self.loss not in ("l1", "l2", *LIKELIHOODS):
            raise ValueError(f"loss must be l1, l2, gaussian, or laplace, got {self.loss!r}")
        for name, limit in _LIMITS.items():
            if not 1 <= (number := getattr(self, name)) <= limit:
                raise ValueError(f"{name} must be 1 to {limit}, got {number}")
        if self.dim % self.heads:
            raise ValueError(f"dim must be a multiple of the {self.heads} heads, got {self.dim}")
        step = INPUT_SIZE_STEP if self.backbone == "atpn" else 32
        if not 2 * step <= self.input_size <= MAX_INPUT_SIZE or self.input_size % step:
            raise ValueError(
                f"input_size must be a multiple of {step}, from {2 * step} to {MAX_INPUT_SIZE}, got {self.input_size}"
            )
        if not 0 < self.min_shrink <= self.max_shrink <= 1:
            raise ValueError(
                f"expected 0 < min_shrink <= max_shrink <= 1, got {self.min_shrink:g} and {self.max_shrink:g}"
            )
        if self.min_shrink < self.max_shrink and not self.uncertainty:
            raise ValueError(
                f"without uncertainty ({self.loss} loss) patches shrink alike: give equal min_shrink and max_shrink, "
                f"got {self.min_shrink:g} and {self.max_shrink:g}"
            )

    @property
    def uncertainty(self) -> bool:
        """Whether the network predicts standard deviations."""
        return self.loss in LIKELIHOODS

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> SLPTConfig:
        """Read a checkpoint's fields."""
        return cls(**{**stored, "scheme": LandmarkScheme.from_reference(stored["scheme"])})


_PUBLISHED = SLPTConfig(backbone="resnet34", input_size=256, layers=6, dim=256, heads=8, channels=64, own_patch=False)
SIZES: Mapping[Size, SLPTConfig] = MappingProxyType(
    {
        "small": SLPTConfig(),
        "resnet34": _PUBLISHED,
        "resnet50": replace(_PUBLISHED, backbone="resnet50"),
    }
)
"""`small` is ours and trains without a GPU; the others are as published (31.1 M and 33.5 M parameters, table 5.1)."""
NETWORKS: Mapping[NetworkName, Mapping[str, Any]] = MappingProxyType(
    {
        "slpt": {"loss": "l2", "min_shrink": 0.5, "max_shrink": 0.5},
        "dslpt": {"loss": "gaussian", "min_shrink": 0.5, "max_shrink": 0.7},
    }
)
"""What distinguishes the two networks (section 5.3.5)."""
