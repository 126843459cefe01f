"""`python -m atpn evaluate --protocol NAME`: a published evaluation beside its published results."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.converting import Conversion, CutoutConfig
from atpn.data.readers.registry import DatasetFolder, find_datasets
from atpn.evaluate.backend import CropPredictor
from atpn.evaluate.protocols import published
from atpn.evaluate.protocols.masked import masked
from atpn.evaluate.protocols.outlines import evaluate_outlines
from atpn.evaluate.protocols.photographs import (
    FULL_SIZE,
    WITH_CONTEXT,
    Measure,
    evaluate_landmarks,
    evaluate_pose,
    tracking_precision,
)
from atpn.evaluate.protocols.published import FULL, Published
from atpn.evaluate.protocols.video import evaluate_video
from edge_runtime.landmarks import LandmarkScheme

Evaluator = Callable[[CropPredictor, Conversion], dict[str, Any]]


@dataclass(frozen=True)
class Protocol:
    """One evaluation."""

    dataset: str
    splits: tuple[str, ...]
    evaluate: Evaluator
    published: Published
    subset: str | None = None
    """Subset of the split that is evaluated."""
    cutout: CutoutConfig = FULL_SIZE


def _rectangle(labels: np.ndarray, scheme: LandmarkScheme) -> np.ndarray:
    """Return the geometric mean of the sides of the known landmarks' rectangle (in profile one eye may be unknown)."""
    return np.sqrt((np.nanmax(labels, axis=1) - np.nanmin(labels, axis=1)).prod(axis=1))


def _inter_ocular(labels: np.ndarray, scheme: LandmarkScheme) -> np.ndarray:
    return scheme.inter_ocular(labels)


_EYES = Measure(_inter_ocular)
_BOX = Measure(_rectangle, threshold=0.07, name="box", failures=False)


def _landmarks(*measures: Measure, **options: Any) -> Evaluator:
    return partial(evaluate_landmarks, measures=measures, **options)


PROTOCOLS: Mapping[str, Protocol] = {
    "wflw": Protocol("wflw", ("test",), _landmarks(_EYES), published.WFLW),
    "300w": Protocol("300w", ("test",), _landmarks(_EYES), published.W300),
    "300w-private": Protocol(
        "300w", ("private",), _landmarks(Measure(_inter_ocular, threshold=0.08)), published.W300_PRIVATE
    ),
    "masked-300w": Protocol("300w", ("test",), _landmarks(_EYES, change=masked), published.MASKED_300W),
    "cofw": Protocol("cofw", ("test",), _landmarks(_EYES), published.COFW),
    "cofw68": Protocol("cofw", ("test68",), _landmarks(_EYES, _BOX, by_occlusion=True), published.COFW68),
    "merl-rav": Protocol("merl-rav", ("test",), _landmarks(_BOX, by_occlusion=True), published.MERL_RAV),
    "pose": Protocol("300w-lp", ("test",), evaluate_pose, published.POSE, "original"),
    "wider-face": Protocol("wider-face", ("val",), tracking_precision, published.WIDER_FACE, cutout=WITH_CONTEXT),
    "300vw": Protocol("300vw", ("category1", "category2", "category3"), evaluate_video, published.W300VW),
    "london": Protocol("london", ("all",), evaluate_outlines, published.LONDON),
}
RATES = frozenset({"average_precision", "missed", "false_alarms", "bias", "outward"})
ANGLES = frozenset({"yaw", "pitch", "roll", "mae"})


def evaluate_protocol(name: str, network: CropPredictor, folder: Path, partial: bool = False) -> dict[str, Any]:
    """Return the protocol's report on the dataset's files in a folder.

    The report is by pass (or category), subset and metric: fractions, degrees and counts. ValueError or
    FileNotFoundError for missing or corrupt files, unless `partial`.
    """
    protocol = PROTOCOLS[name]
    found = find_datasets(folder, protocol.dataset)[0]
    if len(protocol.splits) > 1:  # videos: categories are the subsets
        rows = {split: protocol.evaluate(network, _part(protocol, found, split, partial)) for split in protocol.splits}
        return {"passes": {"ours": rows}}
    report = protocol.evaluate(network, _part(protocol, found, protocol.splits[0], partial))
    return {"passes": report if "first" in report else {"ours": report}}


def _part(protocol: Protocol, found: DatasetFolder, split: str, partial: bool) -> Conversion:
    return Conversion(found, split, protocol.subset, partial=partial, cutout=protocol.cutout)


def describe(name: str, report: dict[str, Any], published: Published | None = None) -> str:
    """Format a report as a table: each subset's metrics by pass, and the published ones, by default the protocol's.

    Only subsets of the protocol are shown if results were published.
    """
    reference, passes = published or PROTOCOLS[name].published, report["passes"]
    first = next(iter(passes.values()))
    figures = [
        key
        for key, value in next(iter(first.values())).items()
        if key not in {"faces", "frames"} and isinstance(value, int | float)  # curves are for charts
    ]
    widths = {key: max(7, len(key)) + 2 for key in figures}
    labels = [_label(key) for key in passes] + [f"{reference.method} ({reference.where})"]
    left = max(map(len, labels[:-1])) + 2
    wide = max(14, *map(len, first)) + 2
    lines = [f"{name}: beside {labels[-1]}", " " * (left + wide) + "".join(f"{key:>{widths[key]}}" for key in figures)]
    subsets = [subset for subset in first if subset == FULL or subset in reference.rows or not reference.rows]
    for subset in subsets:
        count = next(first[subset][key] for key in ("faces", "frames", "positives") if key in first[subset])
        for key, rows in passes.items():
            cells = "".join(f"{_shown(figure, rows[subset][figure]):>{widths[figure]}}" for figure in figures)
            lines.append(f"{subset if key == next(iter(passes)) else '':{wide}}{_label(key):{left}}{cells}")
        if not reference.rows:
            continue
        row = reference.rows.get(subset, {})
        cells = "".join(f"{_number(k, row[k]) if k in row else '-':>{widths[k]}}" for k in figures)
        lines.append(f"{f'({count})':{wide}}{reference.method[: left - 1]:{left}}{cells}")
    return "\n".join(lines)


def _label(name: str) -> str:
    return {"first": "ours, by labels", "upright": "ours, upright"}.get(name, name)


def _shown(figure: str, value: float) -> str:
    """Format one of our values as in the published tables: fractions in percent."""
    return _number(figure, 100 * value if _in_percent(figure) else value)


def _in_percent(figure: str) -> bool:
    return figure in RATES or "nme" in figure or figure.startswith("failure_rate")


def _number(figure: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    if figure.startswith("auc"):
        return f"{value:.3f}"
    return f"{value:.2f}" if figure in ANGLES or _in_percent(figure) else f"{int(value)}"
