"""What every benchmark writes: figures with their units and noise, curves, and what they belong to.

One form for all, so that a report and a comparison know none of the benchmarks.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.machine import machine
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.files import write_atomically

FORMAT = 1
BLOCKS = 5
"""Parts of a series of repeats whose medians tell how much the median of all of it is worth."""


class ResultsError(EdgeRuntimeError):
    """A file is not a benchmark's results."""


@dataclass(frozen=True)
class Figure:
    """One measured number; `table`, `row` and `column` together name it."""

    table: str
    row: str
    """What was measured, most often a model's file."""
    column: str
    value: float | None
    """None where there is nothing to measure, such as a mean over no faces; so does NaN become."""
    unit: str
    """`ms`, `%`, `KiB`, `MiB`, `°`, `s`, `frames`, or empty for a plain number."""
    noise: float = 0.0
    """Standard error of the value as far as this run tells, in the same unit; 0 for what repeats exactly."""
    better: Literal["less", "more", ""] = "less"
    """Empty where neither is."""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "value", None)
        if not math.isfinite(self.noise):
            object.__setattr__(self, "noise", 0.0)


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    chart: str
    name: str
    x_label: str
    y_label: str
    x: Sequence[float]
    y: Sequence[float]
    """One value alone is a dot."""
    labels: Sequence[str] = ()
    """Texts beside the points, one each."""

    def __post_init__(self) -> None:
        if not np.isfinite([*self.x, *self.y]).all():
            raise ValueError(f"the curve {self.name} of {self.chart} has points that are no numbers; leave it out")


@dataclass(frozen=True)
class Results:
    """What one run of one benchmark measured."""

    benchmark: str
    """The command's name."""
    figures: Sequence[Figure]
    curves: Sequence[Curve] = ()
    stacked: Sequence[str] = ()
    """Tables whose columns are parts of a whole: drawn as bars, too, one per row."""
    notes: Sequence[str] = ()
    """Sentences that the report puts below the tables: what was left out, what a column means."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Seed, data, threads, repeats: what the figures depend on besides machine and files."""
    machine: dict[str, Any] = field(default_factory=machine)
    """See `benchmarks.machine.machine`."""
    command: Sequence[str] = field(default_factory=lambda: ["python", "-m", "benchmarks", *sys.argv[1:]])

    def __post_init__(self) -> None:
        names = [(figure.table, figure.row, figure.column) for figure in self.figures]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{self.benchmark} has two figures for {' / '.join(repeated[0])}")
        if unknown := set(self.stacked) - {figure.table for figure in self.figures}:
            raise ValueError(f"{self.benchmark} has no table {unknown.pop()!r} to stack")

    def write(self, path: Path) -> None:
        """Write JSON, complete or not at all (OSError)."""
        write_atomically(
            path, (json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False) + "\n").encode()
        )

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` wrote. ResultsError for anything else, FileNotFoundError for no file."""
        try:
            content = json.loads(path.read_bytes())
            if content.pop("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            figures = [Figure(**figure) for figure in content.pop("figures")]
            curves = [Curve(**curve) for curve in content.pop("curves")]
            return cls(figures=figures, curves=curves, **content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ResultsError(f"{path} is not a benchmark's results ({error}); write one with benchmarks") from error


def median_and_noise(samples: Sequence[float]) -> tuple[float, float]:
    """The median of repeats, in order of time, and its standard error; see `percentile_and_noise`."""
    return percentile_and_noise(samples, 50)


def percentile_and_noise(samples: Sequence[float], percentile: float) -> tuple[float, float]:
    """A percentile of repeats, in order of time, and its standard error.

    The error comes from the same of five consecutive parts, so that a machine that slows down for a while counts;
    repeats next to each other are far more alike than runs are. 0 for fewer than ten repeats, which tell nothing.
    """
    values = np.asarray(samples, dtype=float)
    if len(values) < 2 * BLOCKS:
        return float(np.percentile(values, percentile)), 0.0
    parts = [float(np.percentile(part, percentile)) for part in np.array_split(values, BLOCKS)]
    return float(np.percentile(values, percentile)), float(np.std(parts, ddof=1)) / math.sqrt(BLOCKS)


def mean_and_noise(values: Sequence[float]) -> tuple[float, float]:
    """The mean over independent cases, such as faces, and its standard error; NaN for none."""
    array = np.asarray(values, dtype=float)
    if not len(array):
        return math.nan, 0.0
    return float(array.mean()), float(array.std(ddof=1)) / math.sqrt(len(array)) if len(array) > 1 else 0.0
