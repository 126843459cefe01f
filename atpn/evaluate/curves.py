"""Charts of the thesis' figures 3.6 and 3.8: precision against recall of tracking, cumulative errors of head pose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from atpn.evaluate.plots import Chart, Line, write_charts


def write_curves(folder: Path, report: Mapping[str, Any]) -> None:
    """Write `precision_recall.png` and `pose_ced.png` of an evaluation's report, as far as it has them."""
    rows = list(_rows(report))
    tracking = [
        Line(
            f"{name}: AP {100 * row['average_precision']:.2f} %",
            _percent(row["precision_recall"]["recall"]),
            _percent(row["precision_recall"]["precision"]),
        )
        for name, row in rows
        if "precision_recall" in row
    ]
    poses = [
        Line(f"{name}: {row['mae']:.2f}°", row["ced"]["error"], _percent(row["ced"]["share"]))
        for name, row in rows
        if "ced" in row and "mae" in row
    ]
    if tracking:
        chart = Chart("Face tracking", "recall, %", "precision, %", tracking, x_max=100.0, y_max=101.0)
        write_charts(folder / "precision_recall.png", [chart])
    if poses:
        chart = Chart("Head pose", "mean error of the three angles, degrees", "faces, %", poses, y_max=100.0)
        write_charts(folder / "pose_ced.png", [chart])


def _rows(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name and the figures of each part that may have a curve: of renders, AFW, and protocols."""
    for source in ("rendered", "afw"):
        own = report.get(source, {})
        if "tracking" in own:
            yield {"rendered": "renders", "afw": "AFW"}[source], own["tracking"]
        for yaw, row in own.get("pose", {}).items():
            yield {"all": "renders", "yaw_60": "renders, |yaw| up to 60", "yaw_90": "renders, |yaw| up to 90"}[yaw], row
    for protocol, own in report.items():
        passes = own.get("passes", {}) if isinstance(own, Mapping) else {}
        for subsets in passes.values():
            for subset, row in subsets.items():
                yield f"{protocol}, {subset}", row
            break  # the other passes are for the tables


def _percent(values: list[float]) -> list[float]:
    return [100.0 * value for value in values]
