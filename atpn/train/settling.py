"""The end of a run: crops become milder, so that the network ends precise."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from atpn.data.augment import AugmentConfig
from atpn.data.crops import JitterConfig
from atpn.train.config import Recipe

Config = TypeVar("Config", JitterConfig, AugmentConfig)


@dataclass(frozen=True)
class Settling:
    """Steps over which crops become milder: not before `first`, and fully from `last` on."""

    first: float = math.inf
    last: float = math.inf

    def fraction(self, step: int) -> float:
        """How far the crops of a step are from the recipe's usual to its settled ones, 0 to 1."""
        if step >= self.last:
            return 1.0
        return max(0.0, (step - self.first) / (self.last - self.first)) if math.isfinite(self.last) else 0.0

    def crop_configs(self, recipe: Recipe, step: int) -> tuple[JitterConfig, AugmentConfig]:
        """Jitter and augmentation of a step's crops."""
        fraction = self.fraction(step)
        return (
            blended(recipe.jitter, recipe.settled_jitter or recipe.jitter, fraction),
            blended(recipe.augment, recipe.settled_augment or recipe.augment, fraction),
        )


UNSETTLED = Settling()


def blended(start: Config, end: Config, fraction: float) -> Config:
    """The settings that lie at a fraction of the way from `start` to `end`; whole numbers stay whole."""

    def between(a: Any, b: Any) -> Any:
        if isinstance(a, tuple):
            return tuple(map(between, a, b))
        value = a + (b - a) * fraction
        return round(value) if isinstance(a, int) else value

    return type(start)(**{f.name: between(getattr(start, f.name), getattr(end, f.name)) for f in fields(start)})
