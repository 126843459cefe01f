"""Architecture of an ATPN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.landmarks import WFLW_98, LandmarkScheme

INPUT_SIZE_STEP = 16
"""The high features are 16 times coarser than the input, and their grid must be whole."""

MAX_INPUT_SIZE = 1024
"""Limit of a config's sizes: a damaged one must not fill the memory."""

HeatmapKind = Literal["none", "distribution", "gaussian"]
ARCHITECTURES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "atpn": {},
        "lite": {
            "width": 0.5,
            "squeeze_excite": False,
            "hard_swish": False,
            "pose_from_vector": True,
            "refinement_channels": 32,
        },
        "thesis": {"separable_views": False, "refinement_channels": 0},
    }
)
"""Fields in which an architecture differs from the default. `lite`: a third of the time. `thesis`: dense multiview
blocks and no refinement of the first estimate."""
ABLATED_PARTS = ("low_features", "multiview", "coord_conv", "shared_backbone", "heatmap_attention")
"""Fields that switch off a part of the thesis' architecture, for its tables 3.7 to 3.9."""


@dataclass(frozen=True)
class ATPNConfig:
    """Architecture of one network; networks with equal configs can load each other's weights."""

    scheme: LandmarkScheme = WFLW_98
    """Landmark scheme; stored as its name, or its definition if it is not a known one."""
    width: float = 1.0
    """Factor of all channel counts; 1.0 nearly fills the thesis' budgets (1.1 M parameters, 60 MMAC)."""
    input_size: int = 112
    """Side of the crop in pixels; 112 gives the thesis' grids of 28, 14 and 7. 64 and 96 are for early training."""
    uncertainty: bool = True
    """Predict a standard deviation per landmark; costs one linear layer."""
    separable_views: bool = True
    """Depthwise-separable convolutions in the multiview blocks. The thesis' dense ones take a tenth more time."""
    squeeze_excite: bool = True
    """Squeeze and excite on the coarse grids, as in MobileNetV3."""
    hard_swish: bool = True
    """Hard swish on the coarse grids, as in MobileNetV3. Off: ReLU, which costs less time."""
    pose_from_vector: bool = False
    """Read the pose from the landmarks and their vector, instead of by a branch of convolutions."""
    low_features: bool = True
    """Fuse the fine features into the landmarks' vector. Off: landmarks from the backbone's last features alone, the
    baseline of the thesis' table 3.7; then `refinement_channels` must be 0."""
    multiview: bool = True
    """Multiview blocks (table 3.7); off: features pass unchanged."""
    coord_conv: bool = True
    """Coordinates as two more channels of the convolutions that lead to a vector (table 3.7)."""
    shared_backbone: bool = True
    """The tracking and pose branches read the landmarks' low features. Off: each has layers of its own up to there,
    the baseline of tables 3.8 and 3.9. Needs `heatmap_attention` off."""
    heatmap_attention: bool = True
    """Weigh the low features for the tracking and pose branches by the landmarks' heatmap (tables 3.8 and 3.9)."""
    refinement_channels: int = 64
    """Channels of the features that refine each landmark; 0: no refinement, as in the thesis."""
    heatmaps: HeatmapKind = "none"
    """Read landmarks from a heatmap each (`heatmap_head.py`) instead of the vector, for losses that need one:
    `distribution` for STAR, `gaussian` for Semantic Alignment. Not for export; then `refinement_channels` must be 0."""
    ambiguity: bool = False
    """Predict the shape of each landmark's distribution, for STAR loss; used in training only."""
    conventions: int = 0
    """Number of other labeling conventions whose offsets are learned; used in training only."""
    template_points: int = 0
    """Points of a template that the network predicts besides its landmarks."""
    prompt_rank: int = 0
    """Rank of the head for any query points, which then are a second input; 0: none."""
    expressions: tuple[str, ...] = ()
    """ARKit coefficients that the expression branch gives; empty: no branch. The others' values are always 0."""

    def __post_init__(self) -> None:
        if not 0.1 <= self.width <= 4.0:
            raise ValueError(f"width must lie between 0.1 and 4, got {self.width}")
        if not 2 * INPUT_SIZE_STEP <= self.input_size <= MAX_INPUT_SIZE or self.input_size % INPUT_SIZE_STEP:
            raise ValueError(
                f"input_size must be a multiple of {INPUT_SIZE_STEP}, from {2 * INPUT_SIZE_STEP} to {MAX_INPUT_SIZE}, "
                f"got {self.input_size}; 112 is what runs on a device"
            )
        for name in ("refinement_channels", "conventions", "template_points", "prompt_rank"):
            if not 0 <= (number := getattr(self, name)) <= MAX_INPUT_SIZE:
                raise ValueError(f"{name} must be 0 to {MAX_INPUT_SIZE}, got {number}")
        if self.template_points and self.prompt_rank:
            raise ValueError(
                f"expected template_points or prompt_rank, not both; got {self.template_points} and {self.prompt_rank}"
            )
        if self.heatmaps not in get_args(HeatmapKind):
            raise ValueError(f"heatmaps must be one of {', '.join(get_args(HeatmapKind))}, got {self.heatmaps!r}")
        if self.heatmaps != "none" and (self.refinement_channels or not self.low_features):
            raise ValueError(
                "heatmaps are made of the low features and are not refined: set low_features, and refinement_channels "
                f"to 0 (got {self.refinement_channels})"
            )
        if not self.low_features and (self.refinement_channels or self.expressions):
            raise ValueError(
                "a network without low_features has none to refine landmarks or read expressions from: set "
                f"refinement_channels to 0 (got {self.refinement_channels}) and leave expressions out"
            )
        if self.heatmap_attention and not self.shared_backbone:
            raise ValueError("heatmap_attention weighs shared features; without shared_backbone, set it to False")
        if unknown := [name for name in self.expressions if name not in EXPRESSIONS]:
            raise ValueError(f"expressions must be ARKit's coefficients, got {unknown[0]!r}")

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> ATPNConfig:
        """Read a checkpoint's fields; fields that it lacks get the values from before they existed."""
        fields = {"separable_views": False, "refinement_channels": 0, **stored}
        if "scheme" in fields:
            fields["scheme"] = LandmarkScheme.from_reference(fields["scheme"])
        if "expressions" in fields:  # JSON has lists
            fields["expressions"] = tuple(fields["expressions"])
        return cls(**fields)

    @property
    def missing_parts(self) -> tuple[str, ...]:
        """Parts of the architecture that are switched off."""
        return tuple(name for name in ABLATED_PARTS if not getattr(self, name))

    @property
    def landmark_count(self) -> int:
        """Number of landmarks of the scheme."""
        return self.scheme.count

    @property
    def low_grid(self) -> int:
        """Side of the low features' grid, a quarter of the input."""
        return self.input_size // 4

    @property
    def mid_grid(self) -> int:
        """Side of the mid features' grid, an eighth of the input."""
        return self.input_size // 8

    @property
    def high_grid(self) -> int:
        """Side of the high features' grid, a sixteenth of the input."""
        return self.input_size // 16

    def channels(self, base: int) -> int:
        """Scale a channel count by `width`, rounded to a multiple of 8 (vector registers)."""
        return max(8, int(base * self.width / 8 + 0.5) * 8)
