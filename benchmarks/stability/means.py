"""A figure from independent repeats, such as people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from benchmarks.results import Figure, mean_and_noise


def mean_figure(
    table: str, row: str, column: str, values: Sequence[float], unit: str, better: Literal["less", "more", ""] = "less"
) -> Figure:
    """Their mean and its standard error; repeats that tell nothing are NaN and left out."""
    value, noise = mean_and_noise([each for each in values if not math.isnan(each)])
    return Figure(table, row, column, value, unit, noise, better)
