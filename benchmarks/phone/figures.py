"""How a phone's measurements become figures, whoever took them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from benchmarks.phone.benchmark_model import Runner
from benchmarks.results import Figure

HEADLINES = ("median", "mean")
"""Tables of their own, a column per runner: what most readers look for."""
FIGURES: dict[str, tuple[str, Literal["less", "more", ""]]] = {
    "median": ("ms", "less"),
    "mean": ("ms", "less"),
    "start": ("ms", "less"),
    "first": ("ms", "less"),
    "warm-up": ("ms", "less"),
    "95 %": ("ms", "less"),
    "fastest": ("ms", "less"),
    "slowest": ("ms", "less"),
    "deviation": ("ms", ""),
    "memory at start": ("MiB", "less"),
    "memory": ("MiB", "less"),
    "nodes": ("", "more"),
}
"""Unit, and the better direction. `start` is loading, compiling included; `first` the first inference after it; `nodes`
how many the delegate took; the others are of the inferences after the warm-up."""


def figures(model: str, runner: Runner, values: Mapping[str, tuple[float, float]]) -> list[Figure]:
    """One model's values and their noise, by the names of FIGURES, on one runner."""
    found = []
    for name, (value, noise) in values.items():
        table, column = (name, runner.name) if name in HEADLINES else (runner.name, name)
        unit, better = FIGURES[name]
        found.append(Figure(table, model, column, value, unit, noise, better))
    return found


def battery_figures(before: float | None, after: float | None) -> list[Figure]:
    """A phone slows down when it is warm."""
    pairs = (("before", before), ("after", after))
    return [Figure("battery", "temperature", name, value, "°C", better="") for name, value in pairs]
