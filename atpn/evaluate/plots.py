"""Small charts drawn with OpenCV, so that a report's images need no plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from edge_runtime.files import write_atomically

COLORS = (
    *((180, 90, 20), (40, 110, 230), (70, 150, 50), (160, 60, 150)),
    *((90, 90, 90), (170, 160, 20), (60, 60, 200), (40, 190, 230)),
)
"""BGR; of the lines, in order."""
WIDTH, HEIGHT = 640, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 20, 40, 56
_INK, _GRID, _PAPER = (60, 60, 60), (228, 228, 228), (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Line:
    """One curve of a chart."""

    name: str
    """In the legend; empty leaves it out there."""
    x: Sequence[float]
    y: Sequence[float]
    dots: bool = False
    """Marks the points."""
    labels: Sequence[str] = ()
    """Texts beside the points, one each."""
    guide: bool = False
    """A thin gray line to compare with, rather than a result."""


@dataclass(frozen=True)
class Chart:
    """Curves over one pair of axes from 0, or from `y_min` up."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line] = field(default_factory=tuple)
    x_max: float | None = None
    """None: the largest value."""
    y_max: float | None = None
    y_min: float = 0.0
    legend: Literal["top left", "top right", "bottom right"] = "bottom right"


@dataclass(frozen=True)
class Bars:
    """Stacked horizontal bars: how a whole is made up, one bar per row."""

    title: str
    x_label: str
    rows: Mapping[str, Mapping[str, float]]
    """Row's name to its parts' names and values."""


def draw_bars(bars: Bars) -> np.ndarray:
    """(480, 640, 3) uint8 BGR."""
    image = np.full((HEIGHT, WIDTH, 3), _PAPER, np.uint8)
    parts = list(dict.fromkeys(part for row in bars.rows.values() for part in row))
    left, right = 24 + max(map(_text_width, bars.rows)), WIDTH - _RIGHT
    top, bottom = _TOP + 26, HEIGHT - _BOTTOM
    largest = max((sum(row.values()) for row in bars.rows.values()), default=0.0) or 1.0
    for value in _ticks(largest):
        x = round(left + value / largest * (right - left))
        cv2.line(image, (x, top), (x, bottom), _GRID, 1)
        _text(image, f"{value:g}", (x, bottom + 18), centered=True)
    pitch = (bottom - top) / max(1, len(bars.rows))
    for number, (name, row) in enumerate(bars.rows.items()):
        middle, half = top + (number + 0.5) * pitch, min(16.0, 0.35 * pitch)
        _text(image, name, (left - 10 - _text_width(name), round(middle) + 5))
        begin = 0.0
        for part, value in row.items():
            ends = [round(left + v / largest * (right - left)) for v in (begin, begin + value)]
            corners = (ends[0], round(middle - half)), (ends[1], round(middle + half))
            cv2.rectangle(image, *corners, COLORS[parts.index(part) % len(COLORS)], -1)
            begin += value
    cv2.line(image, (left, top), (left, bottom), _INK, 1)
    x = left
    for number, part in enumerate(parts):
        cv2.rectangle(image, (x, _TOP - 2), (x + 10, _TOP + 8), COLORS[number % len(COLORS)], -1)
        _text(image, part, (x + 15, _TOP + 8))
        x += 32 + _text_width(part)
    _text(image, bars.title, (WIDTH // 2, 24), centered=True, size=0.55)
    _text(image, bars.x_label, ((left + right) // 2, HEIGHT - 12), centered=True)
    return image


def draw_chart(chart: Chart) -> np.ndarray:
    """(480, 640, 3) uint8 BGR."""
    image = np.full((HEIGHT, WIDTH, 3), _PAPER, np.uint8)
    x_max = _largest([line.x for line in chart.lines]) if chart.x_max is None else chart.x_max
    y_max = _largest([line.y for line in chart.lines]) if chart.y_max is None else chart.y_max
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for value in _ticks(x_max):
        x = round(_LEFT + value / x_max * (right - _LEFT))
        cv2.line(image, (x, _TOP), (x, bottom), _GRID, 1)
        _text(image, f"{value:g}", (x, bottom + 18), centered=True)
    for value in _ticks(y_max, chart.y_min):
        y = round(bottom - (value - chart.y_min) / (y_max - chart.y_min) * (bottom - _TOP))
        cv2.line(image, (_LEFT, y), (right, y), _GRID, 1)
        label = f"{value:g}"
        _text(image, label, (_LEFT - 8 - _text_width(label), y + 4))
    cv2.rectangle(image, (_LEFT, _TOP), (right, bottom), _INK, 1)
    drawn = [line for line in chart.lines if not line.guide]
    for line in sorted(chart.lines, key=lambda line: not line.guide):
        color = (150, 150, 150) if line.guide else COLORS[drawn.index(line) % len(COLORS)]
        _draw_line(image[_TOP : bottom + 1, _LEFT : right + 1], line, color, x_max, (chart.y_min, y_max))
    _text(image, chart.title, (WIDTH // 2, 24), centered=True, size=0.55)
    _text(image, chart.x_label, ((_LEFT + right) // 2, HEIGHT - 12), centered=True)
    _draw_upright_label(image, chart.y_label, (_TOP + bottom) // 2)
    _draw_legend(image, [line.name for line in drawn], chart.legend)
    return image


def write_charts(path: Path, charts: Sequence[Chart | Bars], columns: int = 3) -> None:
    """A PNG of the charts, `columns` in a row; the file appears complete or not at all (OSError)."""
    columns = min(columns, len(charts))
    tiles = [draw_bars(chart) if isinstance(chart, Bars) else draw_chart(chart) for chart in charts]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    _, encoded = cv2.imencode(".png", np.vstack(rows))
    write_atomically(path, encoded.tobytes())


def _largest(values: Sequence[Sequence[float]]) -> float:
    return max((max(v, default=0.0) for v in values), default=0.0) or 1.0


def _ticks(largest: float, smallest: float = 0.0) -> list[float]:
    """Round numbers from the smallest to the largest value, about five of them."""
    extent = largest - smallest
    power = 10.0 ** math.floor(math.log10(extent / 5))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if extent / (power * k) <= 6)
    first, last = math.ceil(smallest / step - 1e-9), math.floor(largest / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def _draw_line(
    canvas: np.ndarray, line: Line, color: tuple[int, int, int], x_max: float, y_range: tuple[float, float]
) -> None:
    """Drawn into a view of the image, which cuts off what lies outside the axes."""
    height, width = canvas.shape[0] - 1, canvas.shape[1] - 1
    up = (np.asarray(line.y) - y_range[0]) / (y_range[1] - y_range[0])
    points = np.column_stack([np.asarray(line.x) / x_max * width, (1 - up) * height])
    fixed = np.round(points * 16).astype(np.int32)
    cv2.polylines(canvas, [fixed[:, None]], False, color, 1 if line.guide else 2, cv2.LINE_AA, 4)
    for text, (x, y) in zip(line.labels, points, strict=False):
        _text(canvas, text, (round(x) + 6, round(y) - 6))
    if line.dots:
        for x, y in fixed:
            cv2.circle(canvas, (int(x), int(y)), 4 * 16, color, -1, cv2.LINE_AA, 4)


def _draw_legend(image: np.ndarray, names: Sequence[str], place: str) -> None:
    names = [name for name in names if name]
    if not names:
        return
    width = max(map(_text_width, names), default=0)
    x = _LEFT + 14 if place == "top left" else WIDTH - _RIGHT - 48 - width
    top = _TOP + 20 if place.startswith("top") else HEIGHT - _BOTTOM - 14 - 18 * (len(names) - 1)
    image[top - 14 : top + 18 * len(names) - 10, x - 6 : x + 38 + width] = _PAPER
    for i, name in enumerate(names):
        y = top + 18 * i
        cv2.line(image, (x, y - 4), (x + 24, y - 4), COLORS[i % len(COLORS)], 2, cv2.LINE_AA)
        _text(image, name, (x + 32, y))


def _draw_upright_label(image: np.ndarray, text: str, middle: int) -> None:
    strip = np.full((24, _text_width(text) + 4, 3), _PAPER, np.uint8)
    _text(strip, text, (2, 17))
    strip = cv2.rotate(strip, cv2.ROTATE_90_COUNTERCLOCKWISE)
    top = middle - strip.shape[0] // 2
    image[top : top + strip.shape[0], 2:26] = strip


def _text(image: np.ndarray, text: str, at: tuple[int, int], centered: bool = False, size: float = 0.45) -> None:
    x = at[0] - _text_width(text, size) // 2 if centered else at[0]
    cv2.putText(image, text, (x, at[1]), _FONT, size, _INK, 1, cv2.LINE_AA)


def _text_width(text: str, size: float = 0.45) -> int:
    return int(cv2.getTextSize(text, _FONT, size, 1)[0][0])
