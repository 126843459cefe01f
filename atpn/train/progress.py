"""Metrics of a run's checkpoints: a JSON line each, and a chart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from atpn.evaluate.plots import Chart, Line, write_charts
from edge_runtime.files import write_atomically
from edge_runtime.reading import MAX_LABEL_BYTES, quote, read_text


def read_progress(path: Path) -> list[dict[str, float]]:
    """Read the rows of a progress file; none without a file. ValueError if a row is damaged."""
    try:
        rows = [json.loads(line) for line in read_text(path, MAX_LABEL_BYTES).splitlines()] if path.exists() else []
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a progress file ({quote(error)}); delete it, or give another --out") from error
    if not all(isinstance(row, dict) and isinstance(row.get("samples"), int | float) for row in rows):
        raise ValueError(f"{path} is not a progress file; delete it, or give another --out")
    return rows


def add_progress(path: Path, row: Mapping[str, float]) -> None:
    """Append a checkpoint's row, which has `samples`, and draw all rows as a PNG beside the file.

    Rows of later checkpoints are removed: the run resumed from an earlier state.
    """
    rows = [earlier for earlier in read_progress(path) if earlier["samples"] < row["samples"]] + [dict(row)]
    write_atomically(path, "".join(json.dumps(each) + "\n" for each in rows).encode())
    keys = [key for key in row if key not in ("samples", "step", "minutes")]
    write_charts(path.with_suffix(".png"), [_chart(key, rows) for key in keys])


def _chart(key: str, rows: list[dict[str, float]]) -> Chart:
    known = [row for row in rows if key in row]
    crops, values = [row["samples"] / 1000 for row in known], [row[key] for row in known]
    # The errors of an almost untrained network would flatten the rest of the curve.
    upper = 1.1 * float(np.quantile(values, 0.9))
    return Chart(
        *(key, "thousand crops", key, [Line("", crops, values, dots=len(values) < 50)]),
        y_min=min([0.0, *values]),
        y_max=upper if upper > 0 else max([1e-9, *values]),
    )
