"""TUFA's architecture options. Light to import: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from atpn.model.config import INPUT_SIZE_STEP

Embedding = Literal["patches", "features"]


@dataclass(frozen=True)
class TUFAConfig:
    """Architecture; two networks with equal configs take each other's weights."""

    embedding: Embedding = "features"
    """Content of a token: a patch of the image ("patches", as published), or its ATPN features ("features"), with
    ATPN's face embedding as one more token, which needs fewer images and trains on a CPU."""
    separable_views: bool = True
    """`ATPNConfig.separable_views` of ATPN's features."""
    input_size: int = 112
    """Side of the crop in pixels."""
    patch: int = 16
    """Side of a token's part of the crop in pixels."""
    dim: int = 192
    """C, the length of every token and prompt."""
    depth: int = 4
    """Blocks of the encoder."""
    heads: int = 6
    decoder_depth: int = 6
    """The thesis' (section 6.3.3)."""
    prompt_scale: float = 30.0
    """Factor of plane coordinates in [-1, 1] before equations 6.1 and 6.2. With 1, as published, the prompts of all
    points are nearly alike, and training makes no progress for hundreds of steps."""
    dense: bool = True
    """Trained with dense points as well."""
    schemes: tuple[tuple[str, int], ...] = ()
    """Name and number of points of the schemes, training sets, and templates whose anchors the network has, in their
    order."""
    sets: tuple[tuple[str, str], ...] = ()
    """Name and landmark scheme of those anchors that belong to one of several training sets."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "schemes", tuple((str(name), int(count)) for name, count in self.schemes))
        object.__setattr__(self, "sets", tuple((str(name), str(scheme)) for name, scheme in self.sets))
        if self.embedding not in ("patches", "features"):
            raise ValueError(f"embedding must be patches or features, got {self.embedding!r}")
        if self.dim % self.heads or self.dim % 4:
            raise ValueError(f"dim must be a multiple of 4 and of the {self.heads} heads, got {self.dim}")
        if self.embedding == "features" and self.patch != INPUT_SIZE_STEP:
            raise ValueError(f"patch must be {INPUT_SIZE_STEP} px for tokens of features, got {self.patch}")
        if self.input_size < 2 * self.patch or self.input_size % self.patch:
            raise ValueError(f"input_size must be a multiple of {self.patch}, twice at least, got {self.input_size}")
        names = [name for name, _ in self.schemes]
        if len(set(names)) < len(names):
            raise ValueError(f"a scheme is listed twice: {', '.join(names)}")
        if unknown := [name for name, _ in self.sets if name not in names]:
            raise ValueError(f"sets without anchors: {', '.join(unknown)}; schemes has {', '.join(names)}")

    @property
    def grid(self) -> int:
        """Tokens along a side."""
        return self.input_size // self.patch


SIZES: Mapping[str, TUFAConfig] = MappingProxyType(
    {
        "small": TUFAConfig(),
        "vit-s16": TUFAConfig("patches", input_size=256, patch=16, dim=384, depth=12, prompt_scale=1.0),
        "vit-s8": TUFAConfig("patches", input_size=256, patch=8, dim=384, depth=12, prompt_scale=1.0),
    }
)
"""`small` is ours and trains without a GPU; the others are as published (36 M parameters, table 6.1)."""
