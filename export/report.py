"""Reports on exported files: a table on standard output; report.json, report.md, and a chart beside the files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atpn.evaluate.plots import Chart, write_charts
from edge_runtime.files import locked, write_atomically
from edge_runtime.reading import read_json

REPORTS = ("report", "detector_report")
"""Names of the reports that exports write, without extension."""


@dataclass(frozen=True)
class Report:
    """Files of one network, described."""

    name: str
    """Of the .json file, without extension; several networks share it."""
    table: Sequence[Sequence[str]]
    """Rows of cells, the header first."""
    legend: str
    """What the columns mean."""
    evaluation: Mapping[str, Any]
    """What the files were evaluated with, for report.json."""
    more: str = ""
    """Further Markdown."""
    chart: Chart | None = None
    page: str | None = None
    """Name of the Markdown file and the chart, without extension; None: as `name`."""

    def print(self) -> None:
        """Print the table and the legend."""
        print(f"{align(self.table)}\n\n{self.legend}")

    def write(self, folder: Path, entries: Mapping[str, Any]) -> None:
        """Print the report and write it to the files' folder.

        `entries` by file name are for report.json, which keeps those of other files that are still there. Each says
        what its file was evaluated with, which may differ.
        """
        self.print()
        path = folder / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder):  # another export may add its entries
            self._write_entries(path, entries)
        markdown = "\n\n".join(filter(None, (markdown_table(self.table), self.legend, self.more))) + "\n"
        page = path.with_name(self.page or self.name)
        write_atomically(page.with_suffix(".md"), markdown.encode())
        if self.chart is not None:
            write_charts(page.with_suffix(".png"), [self.chart])

    def _write_entries(self, path: Path, entries: Mapping[str, Any]) -> None:
        before = {name: entry for name, entry in _entries(path).items() if (path.parent / name).exists()}
        files = before | {name: {**entry, **self.evaluation} for name, entry in entries.items()}
        content = {**self.evaluation, "files": dict(sorted(files.items()))}
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def align(rows: Sequence[Sequence[str]]) -> str:
    """Format cells in columns, the first flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Format cells as a Markdown table, the header first."""
    header, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([header, "| --- |" + " ---: |" * (len(rows[0]) - 1), *body])


def reported_sha256(path: Path) -> str | None:
    """Return the hash that a report beside a file gives for it; None without a report of it."""
    for name in REPORTS:
        if (entry := _entries(path.parent / f"{name}.json").get(path.name)) is not None:
            return str(entry["sha256"])
    return None


def _entries(report: Path) -> dict[str, Any]:
    """Return a report's entries of files with a hash; none without a report of ours."""
    try:
        files = read_json(report)["files"].items()
        return {name: entry for name, entry in files if "sha256" in entry}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}
