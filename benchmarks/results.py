"""What every benchmark writes: metrics with unit and standard error, curves, and what they depend on.

All benchmarks share one form, so the report and the comparison are independent of them.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.files import write_atomically
from edge_runtime.reading import MAX_MODEL_BYTES, quote, read_json

FORMAT = 2
BLOCKS = 5
"""Number of consecutive parts of a series whose medians give the standard error of the overall median."""
_FORMAT_1_NAMES = {
    "endurance": "soak",
    "peers": "baselines",
    "held": "tracked",
    "ids swapped": "id switches",
    "found again after": "time to re-detect",
    **{f"{scene}, beside": f"{scene}, overhead" for scene in ("far", "near", "three")},
    "frame, drawn and serialised": "frame, drawn and serialized",
    "share of the parts' sum": "fraction of the parts' sum",
    "false alarms per picture": "false alarms per image",
    "false alarms per picture without a face": "false alarms per image without a face",
    "seen points": "visible points",
    "covered": "occluded",
    "uncovered": "unoccluded",
    "changed sides of the tracking threshold": "decision flips at the tracking threshold",
}
"""Names of benchmarks and columns in format 1, and their names now."""


class ResultsError(EdgeRuntimeError):
    """A file is not a benchmark's results."""


@dataclass(frozen=True)
class Metric:
    """One measured number, identified by `table`, `row`, and `column`."""

    table: str
    row: str
    """What was measured, usually a model file."""
    column: str
    value: float | None
    """None for nothing to measure, such as a mean over no faces. NaN and infinity become None."""
    unit: str
    """`ms`, `%`, `KiB`, `MiB`, `°`, `s`, `frames`, or empty for a plain number."""
    std_error: float = 0.0
    """Standard error of the value within this run, in the same unit; 0 for what repeats exactly."""
    lower_is_better: bool | None = True
    """None if neither direction is better."""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "value", None)
        if not math.isfinite(self.std_error):
            object.__setattr__(self, "std_error", 0.0)

    @property
    def key(self) -> tuple[str, str, str]:
        """Table, row, and column."""
        return self.table, self.row, self.column


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    chart: str
    name: str
    x_label: str
    y_label: str
    x: Sequence[float]
    y: Sequence[float]
    """A single value is drawn as a dot."""
    labels: Sequence[str] = ()
    """One text per point."""

    def __post_init__(self) -> None:
        if not np.isfinite([*self.x, *self.y]).all():
            raise ValueError(f"curve {self.name!r} of chart {self.chart!r} has points that are not finite; omit it")


@dataclass(frozen=True)
class Results:
    """Results of one run of one benchmark."""

    benchmark: str
    """Name of the command."""
    metrics: Sequence[Metric]
    curves: Sequence[Curve] = ()
    stacked: Sequence[str] = ()
    """Tables whose columns are parts of a whole: also drawn as bars, one per row."""
    notes: Sequence[str] = ()
    """Sentences below the tables: what was left out, what a column means."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Seed, data, threads, repeats: what the metrics depend on besides machine and files."""
    machine: dict[str, Any] = field(default_factory=machine)
    """See `benchmarks.machine.machine`."""
    command: Sequence[str] = field(default_factory=lambda: ["python", "-m", "benchmarks", *sys.argv[1:]])

    def __post_init__(self) -> None:
        keys = [metric.key for metric in self.metrics]
        if repeated := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"{self.benchmark} has two metrics for {' / '.join(repeated[0])}")
        if unknown := set(self.stacked) - {metric.table for metric in self.metrics}:
            raise ValueError(f"{self.benchmark} has no table {unknown.pop()!r} to stack")

    def write(self, path: Path) -> None:
        """Write JSON atomically."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False)
        write_atomically(path, (text + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` wrote, in this format or format 1.

        Raises:
            ResultsError: The file is not a benchmark's results.
            FileNotFoundError: There is no file.
        """
        try:
            content = read_json(path, limit=MAX_MODEL_BYTES)
            version = content.pop("format")
            if version not in (1, FORMAT):
                raise ValueError(f"format is {version!r}, expected {FORMAT} or 1")
            if version == 1:
                _upgrade(content)
            metrics = [Metric(**metric) for metric in content.pop("metrics")]
            curves = [Curve(**curve) for curve in content.pop("curves")]
            return cls(metrics=metrics, curves=curves, **content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ResultsError(
                f"{path} is not a benchmark's results ({quote(error)}); run a benchmark to write one"
            ) from error


def _upgrade(content: dict[str, Any]) -> None:
    """Rename the keys and labels of format 1 in place."""
    content["benchmark"] = _FORMAT_1_NAMES.get(content["benchmark"], content["benchmark"])
    content["metrics"] = content.pop("figures")
    for metric in content["metrics"]:
        metric["column"] = _FORMAT_1_NAMES.get(metric["column"], metric["column"])
        metric["std_error"] = metric.pop("noise")
        metric["lower_is_better"] = {"less": True, "more": False, "": None}[metric.pop("better")]


def median_and_error(samples: Sequence[float]) -> tuple[float, float]:
    """Return the median of repeats, in order of time, and its standard error; see `percentile_and_error`."""
    return percentile_and_error(samples, 50)


def percentile_and_error(samples: Sequence[float], percentile: float) -> tuple[float, float]:
    """Return a percentile of repeats, in order of time, and its standard error.

    The error is that of the percentiles of `BLOCKS` consecutive parts, so it includes slow drift of the machine. It is
    0 for fewer than two samples per block.
    """
    values = np.asarray(samples, dtype=float)
    overall = float(np.percentile(values, percentile))
    if len(values) < 2 * BLOCKS:
        return overall, 0.0
    parts = [float(np.percentile(part, percentile)) for part in np.array_split(values, BLOCKS)]
    return overall, float(np.std(parts, ddof=1)) / math.sqrt(BLOCKS)


def mean_and_error(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the mean of independent values and its standard error; NaN for none."""
    array = np.asarray(values, dtype=float)
    if not len(array):
        return math.nan, 0.0
    return float(array.mean()), float(array.std(ddof=1)) / math.sqrt(len(array)) if len(array) > 1 else 0.0


def mean_metric(
    table: str,
    row: str,
    column: str,
    values: Sequence[float] | np.ndarray,
    unit: str = "%",
    lower_is_better: bool | None = True,
) -> Metric:
    """Return the mean of independent values, such as faces or people, as a metric; NaN are left out."""
    array = np.asarray(values, dtype=float)
    mean, error = mean_and_error(array[~np.isnan(array)])
    return Metric(table, row, column, mean, unit, error, lower_is_better)


def median_metric(table: str, row: str, column: str, samples: Sequence[float], unit: str = "ms") -> Metric:
    """Return the median of repeats, in order of time, as a metric."""
    median, error = median_and_error(samples)
    return Metric(table, row, column, median, unit, error)
