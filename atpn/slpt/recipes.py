"""Training recipes. Light to import: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from atpn.data.augment import NO_AUGMENT
from atpn.slpt.config import NetworkName
from atpn.train import transformer_recipe
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


_SLPT_AUGMENT = replace(NO_AUGMENT, gray=0.2, cover=0.33)
_SMALL = Recipe(samples=100_000, batch_size=16, lr=1e-3, warmup_steps=100)
RECIPES: Mapping[tuple[RecipeName, NetworkName], SLPTRecipe] = MappingProxyType(
    {
        ("small", "slpt"): SLPTRecipe(_SMALL),
        ("small", "dslpt"): SLPTRecipe(_SMALL),
        # Section 4.3.3. The thesis gives no length: as long after the last drop as between the two, as in the authors'
        # code for DSLPT; nor a batch size: DSLPT's.
        ("published", "slpt"): SLPTRecipe(
            replace(
                transformer_recipe.RECIPE,
                **{"epochs": 150, "decay_at": (120, 140), "optimizer": "adam", "lr": 1e-3, "weight_decay": 0.0},
                augment=_SLPT_AUGMENT,
            ),
            normalizer="inter-ocular",
        ),
        # Section 5.3.3. The thesis' rate for ResNets is 4e-4, for HRNet 5e-4; the weight decay is PyTorch's default.
        ("published", "dslpt"): SLPTRecipe(
            replace(
                transformer_recipe.RECIPE,
                **{"epochs": 100, "decay_at": (80, 90), "optimizer": "adamw", "lr": 4e-4, "weight_decay": 0.01},
                augment=transformer_recipe.AUGMENT,
            ),
            shear_prob=transformer_recipe.SHEAR_PROB,
            normalizer="inter-ocular",
        ),
    }
)
"""`small` is ours, with the default jitter and augmentation; `published` is the thesis'."""
