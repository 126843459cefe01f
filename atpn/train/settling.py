"""The end of a run: jitter and augmentation become milder, for precision."""

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
    """Steps over which crops become milder: from `first` on, completely from `last` on."""

    first: float = math.inf
    last: float = math.inf

    def fraction(self, step: int) -> float:
        """Return the progress from the recipe's normal crops (0) to its settled ones (1)."""
        if step >= self.last:
            return 1.0
        return max(0.0, (step - self.first) / (self.last - self.first)) if math.isfinite(self.last) else 0.0

    def crop_configs(self, recipe: Recipe, step: int) -> tuple[JitterConfig, AugmentConfig]:
        """Return jitter and augmentation of a step's crops."""
        fraction = self.fraction(step)
        return (
            interpolate(recipe.jitter, recipe.settled_jitter or recipe.jitter, fraction),
            interpolate(recipe.augment, recipe.settled_augment or recipe.augment, fraction),
        )


UNSETTLED = Settling()


def interpolate(start: Config, end: Config, fraction: float) -> Config:
    """Interpolate settings linearly from `start` to `end`; integers stay integers."""

    def between(a: Any, b: Any) -> Any:
        if isinstance(a, tuple):
            return tuple(map(between, a, b))
        value = a + (b - a) * fraction
        return round(value) if isinstance(a, int) else value

    return type(start)(**{f.name: between(getattr(start, f.name), getattr(end, f.name)) for f in fields(start)})
