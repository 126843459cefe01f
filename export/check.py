"""`export check` and `export list`: what exported files are, wherever they lie."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atpn.model.checkpoint import weights_sha256
from atpn.model.detector import FaceDetector
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.spec import SUFFIXES, ModelSpec
from export.config import CheckConfig, ListConfig
from export.detector import REPORT as DETECTOR_REPORT
from export.detector import DetectorReference, detector_table
from export.errors import ExportError, GateError
from export.formats import sha256_of, size_of
from export.measure import Comparison, Measured, Measuring, measure, violations
from export.pipeline import format_of
from export.reference import Reference
from export.report import REPORT, aligned, print_table, write_report
from export.tracks import add_tracks


def check(config: CheckConfig) -> None:
    """Measure files again, against their own specs and the weights. GateError tells what is wrong with which."""
    if not config.files:
        raise ExportError("no files to check; name some, for instance dist/*.tflite")
    refused: list[str] = []
    detectors = [path for path in config.files if _finds_faces(path)]
    others = [path for path in config.files if path not in detectors]
    if others:
        reference = Reference.open(config)
        rows = add_tracks(_checked(others, reference, reference.weights_sha256, refused), config.videos)
        if rows and config.report is not None:
            write_report(config.report, rows, reference)
        elif rows:
            print_table(rows)
    if detectors:
        finder = DetectorReference.open(config.detector.weights, config.detector.held_out)
        found = _checked(detectors, finder, finder.weights_sha256, refused)
        if found:
            print(aligned(detector_table(found)))
    if refused:
        raise GateError("\n".join(refused))


def _checked(
    paths: Sequence[Path], reference: Measuring[Comparison], weights: str, refused: list[str]
) -> list[Measured[Comparison]]:
    """Each file that can be measured; what is wrong with any is added to `refused`."""
    rows = []
    for path in paths:
        try:
            row = measure(path, format_of(path), reference)
        except (EdgeRuntimeError, ExportError, OSError) as error:
            refused.append(str(error))
            continue
        rows.append(row)
        if problems := [*_against_origin(row, weights), *violations(row)]:
            refused.append(f"{path}: {'; '.join(problems)}")
    return rows


def _finds_faces(path: Path) -> bool:
    try:
        return ModelSpec.read(path).is_detector
    except (EdgeRuntimeError, OSError):
        return False  # told when it is measured


def _against_origin(row: Measured[Any], weights: str) -> list[str]:
    """Whether a file is what its spec and the report beside it say."""
    problems = []
    if row.spec.weights_sha256 != weights:
        problems.append(f"made from other weights ({row.spec.weights_sha256[:12]}, not {weights[:12]})")
    written = _reported(row.path)
    if written is not None and written != row.sha256:
        problems.append(f"changed since it was written (SHA-256 {row.sha256[:12]}, the report says {written[:12]})")
    return problems


def _reported(path: Path) -> str | None:
    """The hash that the report beside a file gives for it; None without a report of it."""
    for name in (REPORT, DETECTOR_REPORT):
        try:
            entry = json.loads((path.parent / name).read_bytes())["files"][path.name]
            return str(entry["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def list_files(config: ListConfig) -> None:
    """Print what a folder's model files are, one line each; a file that cannot be read tells why."""
    paths = sorted(path for path in config.out.glob("*") if path.suffix in SUFFIXES)
    if not paths:
        raise ExportError(
            f"no model file in {config.out}; make some with `make export` or name another folder by --out"
        )
    current = {weights_sha256(config.weights)}
    if config.detector.is_file():
        current.add(weights_sha256(config.detector, FaceDetector))
    lines = [("file", "KiB", "precision", "scheme", "outputs", "weights", "SHA-256")]
    for path in paths:
        try:
            spec = ModelSpec.read(path)
        except EdgeRuntimeError as error:
            lines.append((path.name, f"{size_of(path) / 1024:.0f}", f"unreadable: {error}", "", "", "", ""))
            continue
        same = "these" if spec.weights_sha256 in current else f"others, {spec.weights_sha256[:12]}"
        outputs = ", ".join(spec.outputs)
        kib = f"{size_of(path) / 1024:.0f}"
        lines.append((path.name, kib, spec.precision, spec.scheme, outputs, same, sha256_of(path)[:12]))
    print(aligned(lines))
