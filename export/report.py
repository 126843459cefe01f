"""What an export tells: a table for people, report.json, report.md and a chart beside the files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atpn.evaluate.plots import Chart, Line, write_charts
from edge_runtime.files import write_atomically
from edge_runtime.machine import processor_name
from export.measure import Measured
from export.parity import Parity
from export.reference import Reference

REPORT = "report.json"
TABLE = "report.md"
CHART = "report.png"
_LARGEST_ERROR = 0.15
"""Right end of the chart, over the inter-ocular distance."""


def write_report(folder: Path, rows: Sequence[Measured[Parity]], reference: Reference) -> None:
    """Print the table and write it, with report.json and the chart, into a folder.

    report.json keeps what it says about other files that are still there.
    """
    print_table(rows)
    files = kept_entries(folder / REPORT)
    for row in rows:
        files[row.path.name] = _entry(row)
    held_out = reference.held_out
    report = {
        "weights_sha256": reference.weights_sha256,
        "held_out": {"sha256": held_out.sha256, "crops": len(held_out.crops), "origin": held_out.origin},
        "real": None if reference.real is None else reference.real.origin,
        "files": dict(sorted(files.items())),
    }
    write_atomically(folder / REPORT, (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(folder / TABLE, (_markdown(rows) + "\n").encode())
    write_charts(folder / CHART, [_chart(rows)])


def print_table(rows: Sequence[Measured[Parity]]) -> None:
    """One line per file on standard output, and what the columns mean."""
    print(aligned(_table(rows)))
    print(f"\n{_explained(rows)}")


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first flush left, the others flush right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for first, *rest in lines:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def _table(rows: Sequence[Measured[Parity]]) -> list[tuple[str, ...]]:
    real = any(row.parity.real is not None for row in rows)
    videos = list(dict.fromkeys(video for row in rows for video in row.tracks))
    header = ["file", "KiB", "max |diff|", "mean", "NME %", "growth %"]
    header += ["real NME %", "growth %"] if real else []
    points = any(row.parity.points is not None for row in rows)
    header += ["points |diff|", "over landmarks'"] if points else []
    header += ["pose °", "flips %", "transposes", "ms", *(f"{video} px" for video in videos), ""]
    parity = rows[0].parity
    network = ["PyTorch", "", "", "", f"{100 * parity.rendered.network_nme:.3f}", ""]
    network += [f"{100 * parity.real.network_nme:.3f}" if parity.real else "", ""] if real else []
    network += ["", ""] if points else []
    network += [f"{parity.network_pose_error:.2f}", *[""] * (4 + len(videos))]
    return [tuple(header), tuple(network), *(tuple(_cells(row, real, points, videos)) for row in rows)]


def _cells(row: Measured[Parity], real: bool, points: bool, videos: Sequence[str]) -> list[str]:
    parity, with_heads = row.parity, "pose" in row.spec.outputs
    cells = [row.path.name, f"{row.size / 1024:.0f}", f"{parity.landmarks:.1e}", f"{parity.landmarks_mean:.1e}"]
    cells += [f"{100 * parity.rendered.nme:.3f}", f"{100 * parity.nme_growth:+.2f}"]
    if real:
        errors = parity.real
        cells += [f"{100 * errors.nme:.3f}", f"{100 * errors.growth:+.2f}"] if errors else ["", ""]
    if points:
        found = parity.points
        cells += [f"{found.points_mean:.1e}", f"{found.points_over_landmarks:.2f}"] if found else ["", ""]
    cells += [f"{parity.pose_error:.2f}", f"{100 * parity.flips:.1f}"] if with_heads else ["", ""]
    cells += [str(row.transposes), "" if row.milliseconds is None else f"{row.milliseconds:.2f}"]
    cells += [f"{row.tracks[video]['mean_pixels']:.2f}" if video in row.tracks else "" for video in videos]
    return [*cells, "kept" if row.kept else ""]


def _explained(rows: Sequence[Measured[Parity]]) -> str:
    errors = rows[0].parity.rendered
    text = (
        "diff: landmarks against PyTorch on the same crops, crop widths. NME (inter-ocular): "
        f"{errors.faces} held-out rendered faces up to 60° of yaw"
    )
    real = rows[0].parity.real
    text += f"; real: {real.faces} faces of AFW in their labels' regions" if real else ""
    text += ". pose: mean absolute error on renders; flips: crops that change sides of the tracking threshold."
    if any(row.parity.points is not None for row in rows):
        text += " points: mean distance from PyTorch's on faces, crop widths, and over the landmarks' mean distance."
    if any(row.milliseconds is not None for row in rows):
        text += f" ms: median, one thread, this machine ({processor_name()}); compare within this table only."
    if any(row.tracks for row in rows):
        text += " px: mean distance of the landmarks per frame from the first fp32 file's on that video, unsmoothed."
    if any(not row.format.native for row in rows):
        text += " CoreML packages were run by export/mil.py, not by CoreML: it says what that proves."
    return text


def _markdown(rows: Sequence[Measured[Parity]]) -> str:
    header, *lines = _table(rows)
    text = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    text += ["| " + " | ".join(line) + " |" for line in lines]
    text += ["", _explained(rows), "", "| file | " + " | ".join(_parts(rows)) + " |"]
    text.append("| --- |" + " ---: |" * len(_parts(rows)))
    text.append(_part_line("PyTorch, renders", rows[0].parity.rendered.network_by_part))
    text += [_part_line(f"{row.path.name}, renders", row.parity.rendered.by_part) for row in rows]
    if rows[0].parity.real is not None:
        text.append(_part_line("PyTorch, real", rows[0].parity.real.network_by_part))
        text += [_part_line(f"{row.path.name}, real", row.parity.real.by_part) for row in rows if row.parity.real]
    return "\n".join([*text, "", "Error by part, % of the inter-ocular distance."])


def _parts(rows: Sequence[Measured[Parity]]) -> list[str]:
    return list(rows[0].parity.rendered.by_part)


def _part_line(name: str, by_part: dict[str, float]) -> str:
    return f"| {name} | " + " | ".join(f"{100 * value:.2f}" for value in by_part.values()) + " |"


def _chart(rows: Sequence[Measured[Parity]]) -> Chart:
    """Cumulative errors: the network's and every file's, on real faces if there are any."""
    real = all(row.parity.real is not None for row in rows)
    lines = []
    for name, row in [("PyTorch", rows[0]), *((row.path.name, row) for row in rows)]:
        errors = row.parity.real if real and row.parity.real is not None else row.parity.rendered
        ordered = errors.network_sorted if name == "PyTorch" else errors.sorted
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        lines.append(Line(name, (100 * ordered).tolist(), share.tolist()))
    where = "AFW's real faces" if real else "held-out renders"
    title = f"Share of faces below an error, {where}"
    return Chart(title, "error, % of the inter-ocular distance", "share", lines, 100 * _LARGEST_ERROR, 1.0)


def kept_entries(report: Path) -> dict[str, Any]:
    """What a report that is about to be replaced says about files that are still there."""
    try:
        before = json.loads(report.read_bytes())["files"]
        return {name: entry for name, entry in before.items() if (report.parent / name).exists()}
    except (OSError, ValueError, KeyError, AttributeError):
        return {}  # none yet, or not ours any more


def _entry(row: Measured[Parity]) -> dict[str, Any]:
    parity = row.parity
    return {
        "format": row.format.name,
        "precision": row.spec.precision,
        "outputs": list(row.spec.outputs),
        "bytes": row.size,
        "sha256": row.sha256,
        "weights_sha256": row.spec.weights_sha256,
        "versions": dict(row.spec.versions),
        "provenance": dict(row.spec.provenance),
        "milliseconds": None
        if row.milliseconds is None
        else {"median": round(row.milliseconds, 3), "threads": 1, "machine": processor_name()},
        "parity": {
            **parity.figures(),
            "by_part": parity.rendered.by_part,
            "network_by_part": parity.rendered.network_by_part,
            **({"real_by_part": parity.real.by_part} if parity.real else {}),
        },
        "tracks": row.tracks,
        "transposes": row.transposes,
        "operators": row.operators,
    }
