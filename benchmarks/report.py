"""`python -m benchmarks report`: one page of all results, as Markdown and as one HTML file."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atpn.evaluate.plots import Bars, Chart, Line, write_charts
from benchmarks.results import Curve, Results, ResultsError
from benchmarks.tables import tables
from edge_runtime.files import write_atomically
from edge_runtime.flags import flag

ORDER = ("latency", "roofline", "profile", "accuracy", "stability", "detector", "baselines", "phone", "pi", "soak")
"""Order of the sections; others follow."""
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

    results: Path = flag(Path("dist/bench"), "folder of results, where the report is written, too")


def report(config: ReportConfig) -> None:
    """Write the report and print its paths."""
    for path in write_report(config.results):
        print(path)


def write_report(folder: Path) -> list[Path]:
    """Write `report.md`, its charts, and `report.html` of all results in a folder, and return their paths.

    Other JSON files are ignored. Raise FileNotFoundError for no results.
    """
    sections = read_results(folder)
    if not sections:
        raise FileNotFoundError(f"no results in {folder}: run a benchmark first, e.g. `python -m benchmarks latency`")
    images = {}
    for results in sections:
        if drawn := charts(results):
            images[results.benchmark] = folder / f"report_{results.benchmark}.png"
            write_charts(images[results.benchmark], drawn, columns=2)
    markdown, page = folder / "report.md", folder / "report.html"
    write_atomically(markdown, as_markdown(sections, {n: p.name for n, p in images.items()}).encode())
    inline = {n: f"data:image/png;base64,{base64.b64encode(p.read_bytes()).decode()}" for n, p in images.items()}
    write_atomically(page, as_html(sections, inline).encode())
    return [markdown, page, *images.values()]


def read_results(folder: Path) -> list[Results]:
    """Read all results in a folder, in the order of the report."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(Results.read(path))
        except ResultsError:
            continue
    return sorted(found, key=lambda r: (ORDER.index(r.benchmark) if r.benchmark in ORDER else len(ORDER), r.benchmark))


def charts(results: Results) -> list[Chart | Bars]:
    """Return the curves as charts, and the stacked tables as bars."""
    drawn: list[Chart | Bars] = []
    for title in results.stacked:
        metrics = [m for m in results.metrics if m.table == title and m.value is not None]
        rows: dict[str, dict[str, float]] = {}
        for metric in metrics:
            rows.setdefault(metric.row, {})[metric.column] = metric.value
        drawn.append(Bars(title, next((m.unit for m in metrics), ""), rows))
    curves_by_chart: dict[str, list[Curve]] = {}
    for curve in results.curves:
        if len(curve.x):
            curves_by_chart.setdefault(curve.chart, []).append(curve)
    for title, curves in curves_by_chart.items():
        # A labeled dot needs no line in the legend. Dots and labels need a margin around the outermost points.
        lines = [
            Line("" if len(c.x) == 1 and c.labels else c.name, c.x, c.y, dots=_has_dots(c), labels=c.labels)
            for c in curves
        ]
        x_margin, y_margin = (1.3, 1.15) if any(map(_has_dots, curves)) else (1.0, 1.03)
        # An axis needs a length where all values are 0.
        x_max, y_max = (
            max(max(values) for values in each) or 1.0 for each in ([c.x for c in curves], [c.y for c in curves])
        )
        x_max, y_max = x_margin * x_max, y_margin * y_max
        legend = "top right" if any(curve.labels for curve in curves) else "bottom right"
        drawn.append(Chart(title, curves[0].x_label, curves[0].y_label, lines, x_max, y_max, legend=legend))
    return drawn


def _has_dots(curve: Curve) -> bool:
    return len(curve.x) == 1 or bool(curve.labels)


def as_markdown(sections: Sequence[Results], images: Mapping[str, str]) -> str:
    """Return the page as Markdown; `images` are links by benchmark."""
    parts = ["# Benchmarks", about(sections[0])]
    for results in sections:
        parts += [f"## {results.benchmark.capitalize()}", f"`{' '.join(results.command)}`"]
        parts += other_machine(results, sections[0])
        for table in tables(results):
            rows = [table.header, ["---", *["---:"] * (len(table.header) - 1)], *table.rows]
            lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
            parts += [f"**{table.title}**", "\n".join(lines)]
        if results.benchmark in images:
            parts.append(f"![{results.benchmark}]({images[results.benchmark]})")
        parts += [f"- {note}" for note in results.notes]
    return "\n\n".join(parts) + "\n"


def as_html(sections: Sequence[Results], images: Mapping[str, str]) -> str:
    """Return the page as HTML; `images` are links or data by benchmark."""
    text = html.escape
    parts = [f'<h1>Benchmarks</h1><p class="machine">{text(about(sections[0]))}</p>']
    for results in sections:
        command = text(" ".join(results.command))
        parts.append(f"<h2>{text(results.benchmark.capitalize())}</h2><p><code>{command}</code></p>")
        parts += [f'<p class="machine">{text(line)}</p>' for line in other_machine(results, sections[0])]
        for table in tables(results):
            rows = ["".join(f"<th>{text(cell)}</th>" for cell in table.header)]
            rows += ["".join(f"<td>{small_error(text(cell))}</td>" for cell in row) for row in table.rows]
            body = "".join(f"<tr>{row}</tr>" for row in rows)
            parts.append(f'<h3>{text(table.title)}</h3><div class="wide"><table>{body}</table></div>')
        if results.benchmark in images:
            parts.append(f'<p><img alt="{text(results.benchmark)}" src="{images[results.benchmark]}"></p>')
        if results.notes:
            parts.append("<ul>" + "".join(f"<li>{text(note)}</li>" for note in results.notes) + "</ul>")
    head = f'<meta charset="utf-8"><title>Benchmarks</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def small_error(cell: str) -> str:
    """Return a cell with the part from ± on in a smaller font."""
    value, sign, error = cell.partition(" ± ")
    return f"{value}<small>{sign}{error}</small>" if sign else cell


def about(results: Results) -> str:
    """Return a sentence about the machine and the versions."""
    machine = results.machine
    mhz = machine.get("mhz") or {}
    speed = f" at {mhz['now']:.0f} MHz" if "now" in mhz else ""
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    return (
        f"{machine.get('processor')}, {machine.get('cores')} cores{speed}; {machine.get('system')}; "
        f"Python {machine.get('python')}, {versions}. ± is the standard error within one run."
    )


def other_machine(results: Results, first: Results) -> list[str]:
    """Return a line about the machine if it is not the one at the top of the page."""
    here, there = ({k: v for k, v in r.machine.items() if k != "mhz"} for r in (results, first))
    return [] if here == there else [about(results)]
