"""Training recipes. Light to import: no torch."""

from __future__ import annotations

from dataclasses import replace

from atpn.train import transformer_recipe
from atpn.train.config import Recipe

SMALL = Recipe(samples=200_000, batch_size=32, lr=1e-3, warmup_steps=200)
"""Recipe of the small size."""
_RATES = {"vit-s8": 1e-4, "vit-s16": 5e-5}


def published_recipe(size: str, several: bool) -> Recipe:
    """Return the recipe of a published size for one dataset, or for several (section 6.3.3).

    The weight decay is PyTorch's default: the thesis gives none.
    """
    length = {"epochs": 100, "decay_at": (80, 90)} if several else {"epochs": 140, "decay_at": (120, 130)}
    return replace(
        transformer_recipe.RECIPE,
        lr=_RATES[size],
        weight_decay=0.01,
        augment=transformer_recipe.AUGMENT,
        **length,
    )
