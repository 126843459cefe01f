"""The report on landmark files: table, errors by part, and cumulative errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from atpn.evaluate.plots import Chart, Line
from edge_runtime.machine import processor_name
from export.evaluation import ArtifactReport, Column, table_of
from export.landmark_metrics import LandmarkParity
from export.report import Report, markdown_table

_MAX_ERROR = 0.15
"""Right end of the chart, over the inter-ocular distance."""
Artifacts = Sequence[ArtifactReport[LandmarkParity]]


def describe(artifacts: Artifacts, evaluation: Mapping[str, Any], page: str = "report") -> Report:
    """Describe files; `evaluation` says what they were evaluated with, `page` is that of `Report`."""
    more = f"{markdown_table(_part_table(artifacts))}\n\nError by part, % of the inter-ocular distance."
    return Report("report", _table(artifacts), _legend(artifacts), evaluation, more, _chart(artifacts), page)


def _table(artifacts: Artifacts) -> list[list[str]]:
    each = [artifact.parity for artifact in artifacts]
    first, points = each[0], [parity.points for parity in each]
    expressions = [parity.expressions for parity in each]
    expressive = next((found for found in expressions if found), None)
    columns: list[Column] = [
        ("max |diff|", "", [f"{parity.landmarks:.1e}" for parity in each]),
        ("mean", "", [f"{parity.landmarks_mean:.1e}" for parity in each]),
    ]
    for i, (prefix, _, network) in enumerate(first.errors()):
        nmes = [parity.errors()[i][1].nme for parity in each]
        header = "real NME %" if prefix else "NME %"
        columns.append((header, f"{100 * network.nme:.3f}", [f"{100 * nme:.3f}" for nme in nmes]))
        columns.append(("increase %", "", [f"{100 * (nme / network.nme - 1):+.2f}" for nme in nmes]))
    columns += [
        ("points |diff|", "", [f"{p.points_mean:.1e}" if p else "" for p in points]),
        ("over landmarks'", "", [f"{p.points_over_landmarks:.2f}" if p else "" for p in points]),
        ("pose °", f"{first.network_pose_error:.2f}", [_number(p.pose_error, 2) for p in each]),
        ("flips %", "", [_number(p.decision_flip_rate, 1, 100) for p in each]),
    ]
    if expressive is not None:
        errors = [None if found is None else found.expression_mae for found in expressions]
        angles = [None if found is None else found.gaze_error for found in expressions]
        columns += [
            ("expressions MAE", _number(expressive.network_expression_mae, 4), [_number(e, 4) for e in errors]),
            ("gaze °", _number(expressive.network_gaze_error, 2), [_number(angle, 2) for angle in angles]),
        ]
    tracks: list[Column] = []
    for video in dict.fromkeys(video for artifact in artifacts for video in artifact.tracks):
        pixels = [f"{a.tracks[video]['mean_pixels']:.2f}" if video in a.tracks else "" for a in artifacts]
        tracks.append((f"{video} px", "", pixels))
    return table_of(artifacts, columns, tracks)


def _number(value: float | None, decimals: int, factor: float = 1) -> str:
    return "" if value is None else f"{factor * value:.{decimals}f}"


def _legend(artifacts: Artifacts) -> str:
    first = artifacts[0].parity
    text = (
        "diff: landmarks against PyTorch on the same crops, crop widths. NME (inter-ocular): "
        f"{len(first.rendered.by_face)} held-out rendered faces up to 60° of yaw"
    )
    text += f"; real: {len(first.real.by_face)} faces of AFW in their labels' regions" if first.real else ""
    text += ". pose: mean absolute error on renders; flips: crops that change sides of the tracking threshold."
    if any(artifact.parity.points is not None for artifact in artifacts):
        text += " points: mean distance from PyTorch's on faces, crop widths, and over the landmarks' mean distance."
    if any(artifact.milliseconds is not None for artifact in artifacts):
        text += f" ms: median, one thread, this machine ({processor_name()}); compare within this table only."
    if any(artifact.tracks for artifact in artifacts):
        text += " px: mean distance of the landmarks per frame from the first fp32 file's on that video, unsmoothed."
    if any(not artifact.format.native for artifact in artifacts):
        text += " CoreML packages were run by export/testing/mil.py, not by CoreML: it says what that proves."
    return text


def _part_table(artifacts: Artifacts) -> list[list[str]]:
    rows: list[tuple[str, dict[str, float]]] = []
    for i, (prefix, _, network) in enumerate(artifacts[0].parity.errors()):
        images = "real" if prefix else "renders"
        rows.append((f"PyTorch, {images}", network.by_part))
        rows += [(f"{a.path.name}, {images}", a.parity.errors()[i][1].by_part) for a in artifacts]
    cells = [[name, *(f"{100 * value:.2f}" for value in by_part.values())] for name, by_part in rows]
    return [["file", *rows[0][1]], *cells]


def _chart(artifacts: Artifacts) -> Chart:
    """Plot cumulative errors of the network and every file, on real faces if there are any."""
    errors = [artifact.parity.errors()[-1] for artifact in artifacts]
    curves = [("PyTorch", errors[0][2]), *((a.path.name, e[1]) for a, e in zip(artifacts, errors, strict=True))]
    lines = []
    for name, curve in curves:
        fraction = np.arange(1, len(curve.by_face) + 1) / len(curve.by_face)
        lines.append(Line(name, (100 * curve.by_face).tolist(), fraction.tolist()))
    real = artifacts[0].parity.real is not None
    title = f"Fraction of faces below an error, {'real faces of AFW' if real else 'held-out renders'}"
    return Chart(title, "error, % of the inter-ocular distance", "fraction", lines, 100 * _MAX_ERROR, 1.0)
