"""Training recipes. Light to import: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import JitterConfig
from atpn.slpt.config import NetworkName
from atpn.train.config import Recipe

RecipeName = Literal["small", "published"]
Normalizer = Literal["rectangle", "inter-ocular"]


@dataclass(frozen=True)
class SLPTRecipe:
    """A recipe of the training loop, and what only these networks have."""

    recipe: Recipe
    shear_prob: float = 0.0
    """Probability that a crop is sheared."""
    normalizer: Normalizer = "rectangle"
    """Size of a face in the l1 and l2 losses: the longer side of its landmarks' rectangle, or, as published, the
    distance of the outer eye corners, which vanishes in profile."""


# The thesis gives limits of translation and brightness: normal distributions of the same spread as uniform ones here.
_JITTER = JitterConfig(
    center_sigma=10 / 256 / 3**0.5, scale_sigma=0.05, scale_limit=0.05, unrolled_prob=1.0, rotation=30.0
)
_SLPT_AUGMENT = replace(NO_AUGMENT, gray=0.2, cover=0.33)
_DSLPT_AUGMENT = replace(
    NO_AUGMENT,
    **{"gray": 0.2, "cover": 0.5, "tone": 0.5},
    **{"gamma_sigma": 0.0, "gain_sigma": 0.0, "contrast_sigma": 0.0, "brightness_sigma": 0.3 * 255 / 3**0.5},
)
_PUBLISHED = Recipe(
    samples=None,
    batch_size=16,
    schedule="step",
    warmup_steps=0,
    decay_factor=0.1,
    gradient_clip=None,
    ema_decay=0.0,
    input_size=256,
    jitter=_JITTER,
)
_SMALL = Recipe(samples=100_000, batch_size=16, lr=1e-3, warmup_steps=100)
RECIPES: Mapping[tuple[RecipeName, NetworkName], SLPTRecipe] = MappingProxyType(
    {
        ("small", "slpt"): SLPTRecipe(_SMALL),
        ("small", "dslpt"): SLPTRecipe(_SMALL),
        # Section 4.3.3. The thesis gives no length: as long after the last drop as between the two, as in the authors'
        # code for DSLPT; nor a batch size: DSLPT's.
        ("published", "slpt"): SLPTRecipe(
            replace(
                _PUBLISHED,
                **{"epochs": 150, "decay_at": (120, 140), "optimizer": "adam", "lr": 1e-3, "weight_decay": 0.0},
                augment=_SLPT_AUGMENT,
            ),
            normalizer="inter-ocular",
        ),
        # Section 5.3.3. The thesis' rate for ResNets is 4e-4, for HRNet 5e-4; the weight decay is PyTorch's default.
        ("published", "dslpt"): SLPTRecipe(
            replace(
                _PUBLISHED,
                **{"epochs": 100, "decay_at": (80, 90), "optimizer": "adamw", "lr": 4e-4, "weight_decay": 0.01},
                augment=_DSLPT_AUGMENT,
            ),
            shear_prob=0.33,
            normalizer="inter-ocular",
        ),
    }
)
"""`small` is ours, with the default jitter and augmentation; `published` is the thesis'."""
