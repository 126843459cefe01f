"""Charts of reports, drawn with matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_runtime.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = (
    *((180, 90, 20), (40, 110, 230), (70, 150, 50), (160, 60, 150)),
    *((90, 90, 90), (170, 160, 20), (60, 60, 200), (40, 190, 230)),
)
"""BGR colors of the lines, in order."""
WIDTH, HEIGHT, DPI = 640, 480, 100


@dataclass(frozen=True)
class Line:
    """One curve of a chart."""

    name: str
    """Name in the legend; empty: not in the legend."""
    x: Sequence[float]
    y: Sequence[float]
    dots: bool = False
    """Whether the points are marked."""
    labels: Sequence[str] = ()
    """Texts beside the points, one each."""
    guide: bool = False
    """Whether it is a thin gray reference line."""


@dataclass(frozen=True)
class Chart:
    """Curves over one pair of axes from 0, or from `y_min` up."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line] = field(default_factory=tuple)
    x_max: float | None = None
    """Default: the largest value."""
    y_max: float | None = None
    y_min: float = 0.0
    legend: Literal["top left", "top right", "bottom right"] = "bottom right"

    def draw(self, axes: Axes) -> None:
        """Draw the chart."""
        number = 0
        for line in self.lines:
            color = "0.6" if line.guide else _rgb(number)
            number += not line.guide
            width, marker, label = (1, None, None) if line.guide else (2, "o" if line.dots else None, line.name)
            axes.plot(line.x, line.y, color=color, linewidth=width, marker=marker, label=label, zorder=2 - line.guide)
            for text, x, y in zip(line.labels, line.x, line.y, strict=False):
                axes.annotate(text, (x, y), (4, 4), textcoords="offset points", fontsize="small")
        x_max = _largest([line.x for line in self.lines]) if self.x_max is None else self.x_max
        y_max = _largest([line.y for line in self.lines]) if self.y_max is None else self.y_max
        axes.set(title=self.title, xlabel=self.x_label, ylabel=self.y_label)
        axes.set(xlim=(0.0, x_max), ylim=(self.y_min, y_max))
        axes.grid(color="0.9")
        if any(line.name for line in self.lines if not line.guide):
            axes.legend(loc=self.legend.replace("top", "upper").replace("bottom", "lower"), fontsize="small")


@dataclass(frozen=True)
class Bars:
    """Stacked horizontal bars: the parts of a whole, one bar per row."""

    title: str
    x_label: str
    rows: Mapping[str, Mapping[str, float]]
    """Values by part, by row."""

    def draw(self, axes: Axes) -> None:
        """Draw the bars."""
        names, ends = list(self.rows), [0.0] * len(self.rows)
        for number, part in enumerate(dict.fromkeys(part for row in self.rows.values() for part in row)):
            values = [row.get(part, 0.0) for row in self.rows.values()]
            axes.barh(names, values, 0.6, left=ends, color=_rgb(number), label=part)
            ends = [end + value for end, value in zip(ends, values, strict=True)]
        axes.invert_yaxis()
        axes.grid(color="0.9", axis="x")
        axes.set_axisbelow(True)
        axes.set(title=self.title, xlabel=self.x_label)
        axes.legend(fontsize="small")


def write_charts(path: Path, charts: Sequence[Chart | Bars], columns: int = 3) -> None:
    """Write a PNG of the charts, `columns` in a row; OSError if it cannot be written."""
    from matplotlib.figure import Figure  # only here: it takes a second

    columns = min(columns, len(charts))
    rows = -(-len(charts) // columns)
    figure = Figure(figsize=(columns * WIDTH / DPI, rows * HEIGHT / DPI), dpi=DPI, layout="constrained")
    all_axes = figure.subplots(rows, columns, squeeze=False).flat
    for axes, chart in zip(all_axes, charts, strict=False):
        chart.draw(axes)
    for axes in all_axes[len(charts) :]:
        axes.set_axis_off()
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_atomically(path, content.getvalue())


def _largest(rows: Sequence[Sequence[float]]) -> float:
    return max((max(row, default=0.0) for row in rows), default=0.0) or 1.0


def _rgb(number: int) -> tuple[float, ...]:
    return tuple(value / 255 for value in COLORS[number % len(COLORS)][::-1])
