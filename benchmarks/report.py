"""`python -m benchmarks report`: one page of all benchmarks' results, as markdown and as one HTML file."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atpn.evaluate.plots import Bars, Chart, Line, write_charts
from benchmarks.results import Curve, Figure, Results, ResultsError
from edge_runtime.files import write_atomically

ORDER = ("latency", "roofline", "profile", "accuracy", "stability", "detector", "peers", "phone", "pi", "endurance")
"""Of the sections; any other follows."""
DECIMALS = {"ms": 3, "%": 2, "KiB": 0, "MiB": 1, "°": 2, "s": 2, "frames": 2, "px": 0}
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1, h2 { font-weight: 600 } h2 { margin-top: 3rem; border-bottom: 1px solid #ccc }
h3 { font-size: 1rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } div.wide { overflow-x: auto }
td, th { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap }
td:first-child, th:first-child { text-align: left } small { color: #777 } img { max-width: 100%; margin: .5rem 0 }
p.machine { color: #555 }
"""


@dataclass(frozen=True)
class ReportConfig:
    """Options of `report`."""

    results: Path = field(default=Path("dist/bench"), metadata={"help": "folder of results; the report is put there"})


@dataclass(frozen=True)
class Table:
    """Cells as texts, the first column the rows' names."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def report(config: ReportConfig) -> None:
    """Write the report, and say where."""
    for path in write_report(config.results):
        print(path)


def write_report(folder: Path) -> list[Path]:
    """`report.md`, its pictures and `report.html` of all results in a folder; what was written.

    FileNotFoundError when there are none. Other JSON files there are left alone.
    """
    sections = read_results(folder)
    if not sections:
        raise FileNotFoundError(
            f"no results in {folder}: run a benchmark first, such as `python -m benchmarks latency`"
        )
    pictures = {}
    for results in sections:
        if drawn := charts(results):
            pictures[results.benchmark] = folder / f"report_{results.benchmark}.png"
            write_charts(pictures[results.benchmark], drawn, columns=2)
    markdown, page = folder / "report.md", folder / "report.html"
    write_atomically(markdown, as_markdown(sections, {n: p.name for n, p in pictures.items()}).encode())
    inline = {
        name: "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode() for name, path in pictures.items()
    }
    write_atomically(page, as_html(sections, inline).encode())
    return [markdown, page, *pictures.values()]


def read_results(folder: Path) -> list[Results]:
    """All results in a folder, in the report's order."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(Results.read(path))
        except ResultsError:
            continue
    return sorted(found, key=lambda r: (ORDER.index(r.benchmark) if r.benchmark in ORDER else len(ORDER), r.benchmark))


def tables(results: Results) -> list[Table]:
    """The figures by table, in the order in which they were measured."""
    made = []
    for title in dict.fromkeys(figure.table for figure in results.figures):
        figures = {(f.row, f.column): f for f in results.figures if f.table == title}
        rows = list(dict.fromkeys(row for row, _ in figures))
        columns = list(dict.fromkeys(column for _, column in figures))
        units = {c: {figures[r, c].unit for r in rows if (r, c) in figures} for c in columns}
        header = [f"{c}, {next(iter(units[c]))}" if len(units[c]) == 1 and any(units[c]) else c for c in columns]
        cells = [
            [row, *(as_text(figures.get((row, column)), len(units[column]) > 1) for column in columns)] for row in rows
        ]
        made.append(Table(title, ["", *header], cells))
    return made


def as_text(figure: Figure | None, with_unit: bool = False) -> str:
    """A figure's value, with its noise where that shows, to as many digits as the noise leaves meaning."""
    if figure is None:
        return ""
    if figure.value is None:
        return "-"
    value, noise = figure.value, figure.noise
    decimals = DECIMALS.get(figure.unit, 3)
    if not figure.unit and (float(value).is_integer() or abs(value) >= 1000):
        decimals = 0
    if noise:
        decimals = min(decimals, max(0, 1 - math.floor(math.log10(noise))))
    unit = f" {figure.unit}" if with_unit and figure.unit else ""
    shown = f" ± {noise:.{decimals}f}" if noise >= 0.5 * 10**-decimals else ""
    return f"{value:.{decimals}f}{shown}{unit}"


def charts(results: Results) -> list[Chart | Bars]:
    """Its curves, and its stacked tables as bars."""
    drawn: list[Chart | Bars] = []
    for title in results.stacked:
        figures = [f for f in results.figures if f.table == title and f.value is not None]
        rows = {
            row: {f.column: f.value for f in figures if f.row == row} for row in dict.fromkeys(f.row for f in figures)
        }
        drawn.append(Bars(title, next((f.unit for f in figures), ""), rows))
    measured = [curve for curve in results.curves if len(curve.x)]
    for title in dict.fromkeys(curve.chart for curve in measured):
        curves = [curve for curve in measured if curve.chart == title]
        # A dot with a label needs no line in the legend; dots and labels need room beside the outermost points.
        lines = [
            Line("" if len(c.x) == 1 and c.labels else c.name, c.x, c.y, dots=_dotted(c), labels=c.labels)
            for c in curves
        ]
        room = (1.3, 1.15) if any(map(_dotted, curves)) else (1.0, 1.03)
        x_max, y_max = (
            share * max(map(max, values))
            for share, values in zip(room, ([c.x for c in curves], [c.y for c in curves]), strict=True)
        )
        legend = "top right" if any(curve.labels for curve in curves) else "bottom right"
        drawn.append(Chart(title, curves[0].x_label, curves[0].y_label, lines, x_max, y_max, legend=legend))
    return drawn


def _dotted(curve: Curve) -> bool:
    return len(curve.x) == 1 or bool(curve.labels)


def as_markdown(sections: Sequence[Results], pictures: Mapping[str, str]) -> str:
    """The page; `pictures` are links, by benchmark."""
    parts = ["# Benchmarks", *(about(results) for results in sections[:1])]
    for results in sections:
        parts += [
            f"## {results.benchmark.capitalize()}",
            f"`{' '.join(results.command)}`",
            *differing(results, sections[0]),
        ]
        for table in tables(results):
            lines = [table.header, ["---", *["---:"] * (len(table.header) - 1)], *table.rows]
            parts.append(f"**{table.title}**")
            parts.append(
                "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
            )
        if results.benchmark in pictures:
            parts.append(f"![{results.benchmark}]({pictures[results.benchmark]})")
        parts += [f"- {note}" for note in results.notes]
    return "\n\n".join(parts) + "\n"


def as_html(sections: Sequence[Results], pictures: Mapping[str, str]) -> str:
    """The same as one file; `pictures` are links or data, by benchmark."""
    say = html.escape
    parts = ["<h1>Benchmarks</h1>", *(f'<p class="machine">{say(about(results))}</p>' for results in sections[:1])]
    for results in sections:
        parts.append(
            f"<h2>{say(results.benchmark.capitalize())}</h2><p><code>{say(' '.join(results.command))}</code></p>"
        )
        parts += [f'<p class="machine">{say(line)}</p>' for line in differing(results, sections[0])]
        for table in tables(results):
            head = "".join(f"<th>{say(cell)}</th>" for cell in table.header)
            body = "".join(
                "<tr>" + "".join(f"<td>{noise_small(say(c))}</td>" for c in row) + "</tr>" for row in table.rows
            )
            parts.append(f'<h3>{say(table.title)}</h3><div class="wide"><table><tr>{head}</tr>{body}</table></div>')
        if results.benchmark in pictures:
            parts.append(f'<p><img alt="{say(results.benchmark)}" src="{pictures[results.benchmark]}"></p>')
        if results.notes:
            parts.append("<ul>" + "".join(f"<li>{say(note)}</li>" for note in results.notes) + "</ul>")
    head = f'<meta charset="utf-8"><title>Benchmarks</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def noise_small(cell: str) -> str:
    """A cell whose ± part is set smaller."""
    value, sign, noise = cell.partition(" ± ")
    return f"{value}<small>{sign}{noise}</small>" if sign else cell


def about(results: Results) -> str:
    """The machine and the versions in a sentence."""
    machine = results.machine
    mhz = machine.get("mhz") or {}
    speed = f" at {mhz['now']:.0f} MHz" if "now" in mhz else ""
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    return (
        f"{machine.get('processor')}, {machine.get('cores')} cores{speed}; {machine.get('system')}; "
        f"Python {machine.get('python')}, {versions}. ± is the standard error as far as one run tells."
    )


def differing(results: Results, first: Results) -> list[str]:
    """A line about the machine when it is not the one at the top of the page."""
    here, there = ({k: v for k, v in r.machine.items() if k != "mhz"} for r in (results, first))
    return [] if here == there else [about(results)]
