"""The detector's files: made by the same converters, measured against the network on rendered pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from atpn.model import load_network
from atpn.model.checkpoint import weights_sha256
from atpn.model.detector import FaceDetector
from atpn.train.detection import LOWEST_SCORE, figures_of, raw_detections
from edge_runtime.detector import decode_detections
from edge_runtime.files import write_atomically
from edge_runtime.spec import ModelSpec, detector_outputs
from export.config import DetectorConfig
from export.errors import ExportError, GateError
from export.formats import Format, Job, Predictor
from export.measure import Measured
from export.metadata import provenance, versions_of
from export.picture_set import PictureSet, read_picture_set
from export.pipeline import FORMATS, Artifact, make_file
from export.report import aligned, kept_entries

REPORT = "detector_report.json"
TABLE = "detector_report.md"
THRESHOLD = 0.3
"""Score from which the runtime shows a region to the tracking network: a miss costs more than a look."""


@dataclass(frozen=True)
class DetectorBounds:
    """How far a file may stray from the network before it is refused. None: not bounded."""

    scores: float | None = None
    """Largest difference."""
    regions: float | None = None
    """Largest difference of a coordinate, picture sides, where the network sees a face."""
    precision_loss: float | None = None
    """Of the average precision."""
    overlap_loss: float | None = None
    """Of the mean overlap of found faces with the labels."""


BOUNDS: Mapping[str, DetectorBounds] = MappingProxyType(
    {
        "fp32": DetectorBounds(scores=1e-4, regions=1e-4),
        "fp16": DetectorBounds(scores=0.02, regions=2e-3, precision_loss=0.005, overlap_loss=0.005),
        "int8": DetectorBounds(precision_loss=0.01, overlap_loss=0.02),
    }
)
"""By precision."""


@dataclass(frozen=True)
class DetectorParity:
    """A file against the network, on the same pictures."""

    scores: float
    """Largest difference."""
    regions: float
    """Largest difference of a coordinate, picture sides, where the network sees a face."""
    average_precision: float
    overlap: float
    network_average_precision: float
    network_overlap: float

    @property
    def precision_loss(self) -> float:
        """Of the average precision."""
        return self.network_average_precision - self.average_precision

    @property
    def overlap_loss(self) -> float:
        """Of the mean overlap of found faces with the labels."""
        return self.network_overlap - self.overlap

    def problems(self, precision: str) -> list[str]:
        """What is out of the precision's bounds, and by how much."""
        figures = self.figures()
        found = [f"{name} {value}, allowed finite numbers" for name, value in figures.items() if not isfinite(value)]
        for name, bound in dataclasses.asdict(BOUNDS[precision]).items():
            if bound is not None and figures[name] > bound:
                found.append(f"{name} {figures[name]:.3g}, allowed {bound:g}")
        return found

    def figures(self) -> dict[str, float]:
        """All that bounds speak of, and what is needed to judge it."""
        return {
            **{name: float(value) for name, value in dataclasses.asdict(self).items()},
            "precision_loss": self.precision_loss,
            "overlap_loss": self.overlap_loss,
        }


@dataclass(frozen=True)
class DetectorReference:
    """A detector's checkpoint and its results; see `reference.Reference`."""

    model: FaceDetector
    metadata: dict[str, Any]
    weights_sha256: str
    held_out: PictureSet
    scores: np.ndarray
    """(n, G, G)."""
    regions: np.ndarray
    """(n, G, G, 3)."""

    @staticmethod
    def open(weights: Path, held_out: Path) -> DetectorReference:
        """Run the network over all pictures; ValueError or OSError say what is missing or damaged."""
        model, metadata = load_network(weights, FaceDetector)
        pictures = read_picture_set(held_out).of_size(model.config.input_size)
        scores, regions = raw_detections(model, pictures.pictures)
        return DetectorReference(model, metadata, weights_sha256(weights, FaceDetector), pictures, scores, regions)

    @property
    def sample(self) -> np.ndarray:
        """A picture to time files with."""
        return self.held_out.gatherings[0].image

    def check(self, spec: ModelSpec, path: Path) -> None:
        """ExportError when a file's spec is not of such a network."""
        if not spec.is_detector or spec.input_size != self.model.config.input_size:
            raise ExportError(f"{path} is no detector for {self.model.config.input_size} px pictures")

    def measure(self, predictor: Predictor, spec: ModelSpec) -> DetectorParity:
        """A file against the network."""
        rows = [predictor(picture) for picture in self.held_out.pictures]
        scores, regions = (np.stack([row[name] for row in rows]) for name in ("scores", "rois"))
        seen = self.scores >= spec.track_threshold
        ours, theirs = (
            figures_of(
                [decode_detections(s, r, LOWEST_SCORE) for s, r in zip(*found, strict=True)], self.held_out.gatherings
            )
            for found in ((self.scores, self.regions), (scores, regions))
        )
        return DetectorParity(
            scores=float(np.abs(scores - self.scores).max()),
            regions=float(np.abs(regions - self.regions)[seen].max()) if seen.any() else 0.0,
            average_precision=theirs["average_precision"],
            overlap=theirs["overlap"],
            network_average_precision=ours["average_precision"],
            network_overlap=ours["overlap"],
        )


def export_detector(config: DetectorConfig) -> None:
    """Make, check and write the files asked for, then the report. GateError after the last, when one was refused."""
    reference = DetectorReference.open(config.weights, config.held_out)
    rows: list[Measured[DetectorParity]] = []
    refused: list[str] = []
    for name in config.files:
        format_name, precision = name.split("-")
        artifact = _artifact(config, reference, FORMATS[format_name], precision)
        try:
            rows.append(make_file(artifact, reference, config.force))
        except GateError as error:
            refused.append(str(error))
    if rows:
        _write_report(config.out, rows, reference)
    if refused:
        raise GateError("\n".join(refused))


def _artifact(config: DetectorConfig, reference: DetectorReference, kind: Format, precision: str) -> Artifact:
    calibration, notes = None, {}
    if precision in kind.calibrated:
        pictures = read_picture_set(config.calibration).of_size(reference.model.config.input_size)
        calibration = pictures.pictures
        notes["calibration"] = f"min-max of {len(calibration)} rendered pictures, SHA-256 {pictures.sha256[:16]}"
    spec = ModelSpec(
        name=config.name,
        scheme="",
        mean_shape=np.empty((0, 2), np.float32),
        outputs=detector_outputs(reference.model.config.grid),
        input_size=reference.model.config.input_size,
        upright=False,
        track_threshold=THRESHOLD,
        lost_threshold=THRESHOLD,
        precision=precision,
        weights_sha256=reference.weights_sha256,
        provenance={**provenance(reference.metadata), **notes},
        versions=versions_of(kind.libraries),
    )
    path = config.out / f"{config.name}_{precision}{kind.suffix}"
    return Artifact(path, kind, Job(reference.model, spec, calibration))


def detector_table(rows: Sequence[Measured[DetectorParity]]) -> list[tuple[str, ...]]:
    """One line per file below a header and the network's own line."""
    header = ("file", "KiB", "score max |diff|", "region max |diff|", "AP %", "overlap", "transposes", "ms", "")
    lines: list[tuple[str, ...]] = [header]
    for row in rows:
        parity = row.parity
        if len(lines) == 1:
            own = (f"{100 * parity.network_average_precision:.2f}", f"{parity.network_overlap:.3f}")
            lines.append(("PyTorch", "", "", "", *own, "", "", ""))
        lines.append(
            (
                row.path.name,
                f"{row.size / 1024:.0f}",
                f"{parity.scores:.1e}",
                f"{parity.regions:.1e}",
                f"{100 * parity.average_precision:.2f}",
                f"{parity.overlap:.3f}",
                str(row.transposes),
                "" if row.milliseconds is None else f"{row.milliseconds:.2f}",
                "kept" if row.kept else "",
            )
        )
    return lines


def _write_report(folder: Path, rows: Sequence[Measured[DetectorParity]], reference: DetectorReference) -> None:
    lines = detector_table(rows)
    held_out = reference.held_out
    explained = (
        f"diff: against PyTorch on {len(held_out.gatherings)} pictures of rendered people that training did not "
        "see. AP: average precision at half overlap; overlap: of found faces with their labels. "
        "ms: median, one thread, this machine."
    )
    print(f"{aligned(lines)}\n\n{explained}")
    header, *rest = lines
    text = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    text += ["| " + " | ".join(line) + " |" for line in rest]
    report = {
        "weights_sha256": reference.weights_sha256,
        "held_out": {"sha256": held_out.sha256, "origin": held_out.origin},
        "files": kept_entries(folder / REPORT) | {row.path.name: _entry(row) for row in rows},
    }
    write_atomically(folder / REPORT, (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(folder / TABLE, "\n".join([*text, "", explained, ""]).encode())


def _entry(row: Measured[DetectorParity]) -> dict[str, Any]:
    return {
        "format": row.format.name,
        "precision": row.spec.precision,
        "bytes": row.size,
        "sha256": row.sha256,
        "versions": dict(row.spec.versions),
        "milliseconds": row.milliseconds,
        "parity": row.parity.figures(),
        "transposes": row.transposes,
        "operators": row.operators,
    }
