"""`export check` and `export list`: what exported files are, wherever they lie."""

from __future__ import annotations

import json
from pathlib import Path

from atpn.model.checkpoint import weights_sha256
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.spec import SUFFIXES, ModelSpec
from export.config import CheckConfig, ListConfig
from export.errors import ExportError, GateError
from export.formats import sha256_of, size_of
from export.measure import Measured, measure, violations
from export.pipeline import format_of
from export.reference import Reference
from export.report import REPORT, aligned, print_table, write_report
from export.tracks import add_tracks


def check(config: CheckConfig) -> None:
    """Measure files again, against their own specs and the weights. GateError tells what is wrong with which."""
    if not config.files:
        raise ExportError("no files to check; name some, for instance dist/*.tflite")
    reference = Reference.open(config)
    rows: list[Measured] = []
    refused: list[str] = []
    for path in config.files:
        try:
            row = measure(path, format_of(path), reference)
        except (EdgeRuntimeError, ExportError, OSError) as error:
            refused.append(str(error))
            continue
        rows.append(row)
        problems = [*_against_origin(row, reference), *violations(row)]
        if problems:
            refused.append(f"{path}: {'; '.join(problems)}")
    rows = add_tracks(rows, config.videos)
    if rows and config.report is not None:
        write_report(config.report, rows, reference)
    elif rows:
        print_table(rows)
    if refused:
        raise GateError("\n".join(refused))


def _against_origin(row: Measured, reference: Reference) -> list[str]:
    """Whether a file is what its spec and the report beside it say."""
    problems = []
    if row.spec.weights_sha256 != reference.weights_sha256:
        problems.append(
            f"made from other weights ({row.spec.weights_sha256[:12]}, not {reference.weights_sha256[:12]})"
        )
    written = _reported(row.path)
    if written is not None and written != row.sha256:
        problems.append(f"changed since it was written (SHA-256 {row.sha256[:12]}, the report says {written[:12]})")
    return problems


def _reported(path: Path) -> str | None:
    """The hash that the report beside a file gives for it; None without a report of it."""
    try:
        entry = json.loads((path.parent / REPORT).read_bytes())["files"][path.name]
        return str(entry["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def list_files(config: ListConfig) -> None:
    """Print what a folder's model files are, one line each; a file that cannot be read tells why."""
    paths = sorted(path for path in config.out.glob("*") if path.suffix in SUFFIXES)
    if not paths:
        raise ExportError(
            f"no model file in {config.out}; make some with `make export` or name another folder by --out"
        )
    current = weights_sha256(config.weights)
    lines = [("file", "KiB", "precision", "scheme", "outputs", "weights", "SHA-256")]
    for path in paths:
        try:
            spec = ModelSpec.read(path)
        except EdgeRuntimeError as error:
            lines.append((path.name, f"{size_of(path) / 1024:.0f}", f"unreadable: {error}", "", "", "", ""))
            continue
        same = "these" if spec.weights_sha256 == current else f"others, {spec.weights_sha256[:12]}"
        outputs = ", ".join(spec.outputs)
        kib = f"{size_of(path) / 1024:.0f}"
        lines.append((path.name, kib, spec.precision, spec.scheme, outputs, same, sha256_of(path)[:12]))
    print(aligned(lines))
