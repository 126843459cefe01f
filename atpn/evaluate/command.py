"""`python -m atpn evaluate`: metrics of a checkpoint on held-out renders and on AFW's real faces.

Real faces are used here only: no training code reads them, and no checkpoint is selected by them.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch

from atpn.data.afw import read_afw
from atpn.data.store import SampleStore
from atpn.evaluate.afw import evaluate_afw
from atpn.evaluate.backend import CheckpointBackend, CropPredictor
from atpn.evaluate.curves import write_curves
from atpn.evaluate.detectors import make_detector
from atpn.evaluate.expressions import expression_report, expression_table, fit_readout, labeled_faces
from atpn.evaluate.passes import PASSES
from atpn.evaluate.plots import Chart, Line, write_charts
from atpn.evaluate.protocols.published import Published
from atpn.evaluate.protocols.registry import describe, evaluate_protocol
from atpn.evaluate.rendered import evaluate_rendered
from atpn.model import load_checkpoint
from atpn.model.checkpoint import weights_sha256
from edge_runtime.detector import Detector
from edge_runtime.files import write_atomically
from edge_runtime.output_paths import OutputFile, OutputFolder

SchemeProtocol = Literal["wflw", "300w", "300w-private", "masked-300w", "cofw", "cofw68", "merl-rav"]
"""Protocols of a dataset's own landmarks."""
LandmarkProtocol = Literal[SchemeProtocol, "london"]
ProtocolName = Literal[LandmarkProtocol, "pose", "wider-face", "300vw"]
"""The last three need head pose or a confidence as well."""


@dataclass(frozen=True)
class EvaluationOptions:
    """What to evaluate a checkpoint on, and what to write. Give --data, --afw, or --protocol."""

    weights: Path
    """Checkpoint (.safetensors, with its .json beside it)."""
    data: Path | None = None
    """Folder of held-out shards; with --protocol, of the unpacked dataset."""
    protocol: ProtocolName | None = None
    """Published evaluation protocol; prints the published results beside ours."""
    partial: bool = False
    """With --protocol, accept an incomplete dataset."""
    afw: Path | None = None
    """Folder with AFW's labels.json and images."""
    detector: str = "cascade"
    """Detector whose ROIs AFW is evaluated on, beside the labels' own: `ours`, `ours:FILE`, `cascade`, `yunet:FILE`,
    `mediapipe:FILE`, or `none`."""
    limit: int = 1000
    """Maximum number of held-out renders."""
    out: OutputFile | None = None
    """JSON report to write."""
    plots: OutputFolder | None = None
    """Folder for charts: cumulative errors of landmarks and pose, precision against recall, predicted against actual
    error."""
    overlay: OutputFolder | None = None
    """Folder for images: predictions green, labels red, file names sorted by error."""
    threads: int = 1
    """Compute threads."""

    def __post_init__(self) -> None:
        if self.protocol is not None and self.data is None:
            raise ValueError(f"--protocol {self.protocol} needs --data, the folder into which its dataset was unpacked")
        if self.data is None and self.afw is None:
            raise ValueError("nothing to evaluate on: give --data FOLDER, --afw FOLDER or both")
        if self.limit < 1:
            raise ValueError(f"--limit must be at least 1, got {self.limit}")


@dataclass(frozen=True)
class EvaluateConfig(EvaluationOptions):
    """Evaluate a checkpoint. Give --data, --afw, or --protocol."""

    expression_baseline: Path | None = None
    """Folder of training renders, to compare expressions with a linear function of the landmarks fitted to them."""


def run(config: EvaluateConfig) -> dict[str, Any]:
    """Evaluate; return the report, print it and (with `out`) write it."""
    detector = prepare_evaluation(config)
    model, description = load_checkpoint(config.weights)
    network = CheckpointBackend(model)
    report = evaluate_network(network, config, weights_sha256(config.weights), description, detector)
    if config.protocol is None and config.data is not None and model.expression_branch is not None:
        store = SampleStore.read(config.data)
        if len(labeled_faces(store)):
            path = config.expression_baseline
            readout = None if path is None else fit_readout(model, SampleStore.read(path))
            report["expressions"] = expression_report(model, store, config.limit, readout)
    write_report(config, report)
    if "expressions" in report:
        print(expression_table(report["expressions"]))
    return report


def prepare_evaluation(config: EvaluationOptions) -> Detector | None:
    """Set the threads and return AFW's detector."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    return make_detector(config.detector)


def evaluate_network(
    network: CropPredictor,
    config: EvaluationOptions,
    digest: str,
    description: dict[str, Any],
    detector: Detector | None,
    heads: bool = True,
) -> dict[str, Any]:
    """Return the report of a network on what the options name; `heads` False skips pose and tracking.

    `digest` and `description` are the weights' SHA-256 and how they were trained.
    """
    report: dict[str, Any] = {
        "weights": config.weights.name,
        "weights_sha256": digest,
        "training": description,
        "versions": library_versions(),
    }
    if config.protocol is not None:
        report[config.protocol] = evaluate_protocol(config.protocol, network, config.data, config.partial)
    elif config.data is not None:
        store = SampleStore.read(config.data)
        report["rendered"] = evaluate_rendered(network, store, config.limit, config.overlay, heads)
    if config.afw is not None:
        report["afw"] = evaluate_afw(network, list(read_afw(config.afw)), detector, config.overlay, heads)
        if detector is not None:
            report["afw"]["detector"]["name"] = Path(config.detector).name
    return report


def write_report(config: EvaluationOptions, report: dict[str, Any], published: Published | None = None) -> None:
    """Write the report and its charts where the options say, and print its tables.

    `published` is the method to compare with under --protocol; default: the protocol's.
    """
    if config.out is not None:
        write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    if config.plots is not None:
        write_plots(config.plots, report)
    if config.protocol is not None:
        print(describe(config.protocol, report[config.protocol], published))
    for name in ("rendered", "afw"):
        if name in report:
            print(_table(name, report[name]))


def library_versions() -> dict[str, str]:
    """Return the versions that metrics may depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def write_plots(folder: Path, report: dict[str, Any]) -> None:
    """Write the charts of a report.

    `ced.png` and, with an uncertainty head, `reliability.png`; `precision_recall.png` and `pose_ced.png` as far as the
    report has these curves.
    """
    write_curves(folder, report)
    curves = {}
    if "rendered" in report:
        rendered = report["rendered"]
        facing = "landmarks_yaw_60" in rendered  # renders of unknown pose have no yaw
        curves["renders, |yaw| up to 60" if facing else "renders"] = rendered[
            "landmarks_yaw_60" if facing else "landmarks"
        ]
    if "afw" in report:
        curves["AFW, true box"] = report["afw"]["first"]
        if "detector" in report["afw"]:
            detector = report["afw"]["detector"]
            curves[f"AFW, {detector['name']}, then upright"] = detector["upright"]
    lines = [
        Line(f"{name}: {100 * r['nme']:.2f} %", _percent(r["ced"]["error"]), _percent(r["ced"]["share"]))
        for name, r in curves.items()
    ]
    if lines:
        chart = Chart("Cumulative error", "NME, % of the eye distance", "faces, %", lines, y_max=100.0)
        write_charts(folder / "ced.png", [chart])
    measured = {
        name: report[key]["uncertainty"]
        for key, name in (("rendered", "renders"), ("afw", "AFW"))
        if "uncertainty" in report.get(key, {})
    }
    if measured:
        parts = next(iter(measured.values()))["parts"]
        charts = [_reliability_chart("all landmarks", measured)]
        charts += [_reliability_chart(part, {n: m["parts"][part] for n, m in measured.items()}) for part in parts]
        write_charts(folder / "reliability.png", charts)


def _reliability_chart(title: str, measured: dict[str, dict[str, Any]]) -> Chart:
    lines = [
        Line(f"{n} (x {m['scale']:.2f})", _percent(m["bins"]["predicted"]), _percent(m["bins"]["actual"]), dots=True)
        for n, m in measured.items()
    ]
    largest = 1.05 * max(max((*line.x, *line.y)) for line in lines)
    right = Line("", [0.0, largest], [0.0, largest], guide=True)
    labels = "predicted sigma, % of the crop", "actual error along an axis (RMS), %"
    return Chart(title, *labels, [right, *lines], x_max=largest, y_max=largest, legend="top left")


def _percent(values: list[float]) -> list[float]:
    return [100.0 * value for value in values]


def _table(name: str, report: dict[str, Any]) -> str:
    """Format the report's metrics as aligned lines; landmark errors in percent."""
    lines = [f"{name}: {report['faces']} faces"]
    for key in ("landmarks", "landmarks_yaw_60", *PASSES):
        if key in report:
            lines += _landmark_lines(key, report[key])
    for key in ("nme_rectangle_by_yaw", "nme_rectangle_by_predicted_yaw"):
        for yaw, entry in report.get(key, {}).items():
            lines.append(f"  |yaw| {yaw:>6}°     {100 * entry['mean']:.2f} % of the rectangle, {entry['count']} faces")
    for key, entry in report.get("pose", {}).items():
        angles = "  ".join(f"{angle} {entry[angle]:.2f}" for angle in ("pitch", "yaw", "roll"))
        lines.append(f"  pose {key:12} MAE {entry['mae']:.2f}°  {angles}  ({entry['count']} faces)")
    lines += [
        f"  {key:17} "
        + "  ".join(
            f"{figure} {value}" if isinstance(value, int) else f"{figure} {value:.4g}"
            for figure, value in report[key].items()
            if isinstance(value, int | float)
        )
        for key in ("tracking", "uncertainty")
        if key in report
    ]
    if "detector" in report:
        detector = report["detector"]
        lines.append(f"  regions from {detector['name']}: {detector['found']} faces found, {detector['missed']} missed")
        for key in PASSES:
            lines += _landmark_lines(key, detector[key])
            same = detector["same_faces"][key]
            lines.append(
                f"  {'':17} same faces, true box: NME {100 * same['nme_ground_truth_box']:.2f} %, "
                f"ratio {same['ratio']:.3f}"
            )
    return "\n".join(lines)


def _landmark_lines(name: str, report: dict[str, Any]) -> list[str]:
    gaps = {key.removesuffix("_opening"): value for key, value in report.items() if key.endswith("_opening")}
    lines = [
        f"  {name:17} NME {100 * report['nme']:.2f} %  FR10 {100 * report['failure_rate_10']:.2f} %  "
        f"AUC10 {report['auc_10']:.3f}  rectangle {100 * report['nme_rectangle']:.2f} %  "
        f"without offsets {100 * report['nme_without_offsets']:.2f} %",
        f"  {'':17} " + "  ".join(f"{part} {100 * value:.2f}" for part, value in report["nme_by_part"].items()),
        f"  {'':17} "
        + "  ".join(f"{part} slope {gap['slope']:.2f} corr {gap['correlation']:.2f}" for part, gap in gaps.items()),
    ]
    for key in ("closed_eyes", "wide_mouth"):
        if key in report:
            r = report[key]
            lines.append(
                f"  {'':17} {key.replace('_', ' ')} ({r['faces']} faces): NME {100 * r['nme']:.2f} %, "
                f"of the part {100 * r['nme_of_part']:.2f} %, opening {r['predicted_opening']:.3f} "
                f"where labeled {r['labelled_opening']:.3f}"
            )
    return lines
