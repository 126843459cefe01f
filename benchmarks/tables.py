"""Tables of results as text, for the terminal and the report."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Metric, Results

DECIMALS = {"ms": 3, "%": 2, "KiB": 0, "MiB": 1, "°": 2, "s": 2, "frames": 2, "px": 0}


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column holds the names of the rows."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(results: Results) -> list[Table]:
    """Return the metrics by table, in the order in which they were measured."""
    found = []
    for title in dict.fromkeys(metric.table for metric in results.metrics):
        metrics = {(m.row, m.column): m for m in results.metrics if m.table == title}
        rows = list(dict.fromkeys(row for row, _ in metrics))
        columns = list(dict.fromkeys(column for _, column in metrics))
        units = {c: {metrics[r, c].unit for r in rows if (r, c) in metrics} for c in columns}
        header = [f"{c}, {next(iter(units[c]))}" if len(units[c]) == 1 and any(units[c]) else c for c in columns]
        cells = [[row, *(as_text(metrics.get((row, c)), len(units[c]) > 1) for c in columns)] for row in rows]
        found.append(Table(title, ["", *header], cells))
    return found


def as_text(metric: Metric | None, with_unit: bool = False) -> str:
    """Return a metric's value with its significant digits, and its standard error where that shows."""
    if metric is None:
        return ""
    if metric.value is None:
        return "-"
    value, error = metric.value, metric.std_error
    decimals = DECIMALS.get(metric.unit, 3)
    if not metric.unit and (float(value).is_integer() or abs(value) >= 1000):
        decimals = 0
    if error:
        decimals = min(decimals, max(0, 1 - math.floor(math.log10(error))))
    unit = f" {metric.unit}" if with_unit and metric.unit else ""
    shown = f" ± {error:.{decimals}f}" if error >= 0.5 * 10**-decimals else ""
    return f"{value:.{decimals}f}{shown}{unit}"


def as_lines(table: Table) -> list[str]:
    """Return aligned lines for a terminal; a table with more columns than rows is transposed."""
    cells = [table.header, *table.rows]
    if len(table.header) > len(cells):
        cells = list(map(list, itertools.zip_longest(*cells)))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{cell:{'<' if i == 0 else '>'}{widths[i]}}" for i, cell in enumerate(row)) for row in cells]
    return [table.title, *(f"  {line.rstrip()}" for line in lines)]


def publish(results: Results, path: Path, shown: Callable[[str], bool] = lambda title: True) -> None:
    """Write results, and print the tables whose title is `shown`."""
    results.write(path)
    for table in tables(results):
        if shown(table.title):
            print("\n".join([*as_lines(table), ""]))
    print(f"written: {path}")
