"""Metrics of a phone, for both ways to measure."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.phone.benchmark_model import Runner
from benchmarks.results import Metric

HEADLINES = ("median", "mean")
"""Metrics with a table of their own, with a column per runner."""
METRICS: dict[str, tuple[str, bool | None]] = {
    "median": ("ms", True),
    "mean": ("ms", True),
    "start": ("ms", True),
    "first": ("ms", True),
    "warm-up": ("ms", True),
    "95 %": ("ms", True),
    "fastest": ("ms", True),
    "slowest": ("ms", True),
    "deviation": ("ms", None),
    "memory at start": ("MiB", True),
    "memory": ("MiB", True),
    "nodes": ("", False),
}
"""Unit, and whether lower is better. `start` is loading and compiling; `first` the first inference after it; `nodes`
the number of nodes that the delegate took; the others are of the inferences after the warm-up."""


def compute_metrics(model: str, runner: Runner, values: Mapping[str, tuple[float, float]]) -> list[Metric]:
    """Return metrics of one model on one runner from (value, standard error) by the names of METRICS."""
    found = []
    for name, (value, error) in values.items():
        table, column = (name, runner.name) if name in HEADLINES else (runner.name, name)
        unit, lower_is_better = METRICS[name]
        found.append(Metric(table, model, column, value, unit, error, lower_is_better))
    return found


def battery_metrics(before: float | None, after: float | None) -> list[Metric]:
    """Return the battery's temperatures: a warm phone is slower."""
    pairs = (("before", before), ("after", after))
    return [Metric("battery", "temperature", name, value, "°C", lower_is_better=None) for name, value in pairs]
