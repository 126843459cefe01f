"""What an export tells: a table for people, report.json for machines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_runtime.files import write_atomically
from edge_runtime.machine import processor_name
from edge_runtime.spec import ModelSpec
from export.crop_set import CropSet
from export.parity import Parity

REPORT = "report.json"
TRANSPOSES = ("TRANSPOSE", "Transpose")
"""Names of the operator that a careless conversion is full of, in TFLite and ONNX."""


@dataclass(frozen=True)
class Row:
    """One file that passed its check."""

    file: str
    precision: str
    size: int
    """Bytes."""
    sha256: str
    milliseconds: float
    """Median of one crop, one thread, this machine."""
    parity: Parity
    operators: dict[str, int]
    spec: ModelSpec
    kept: bool
    """The file was there already and up to date."""

    @property
    def transposes(self) -> int:
        """How many times the file changes a tensor's layout."""
        return sum(self.operators.get(name, 0) for name in TRANSPOSES)


def print_table(rows: list[Row]) -> None:
    """One line per file on standard output."""
    header = ("file", "KiB", "max |diff|", "NME %", "pose °", "ms", "transposes", "")
    lines = [header]
    for row in rows:
        parity = row.parity
        lines.append(
            (
                row.file,
                f"{row.size / 1024:.0f}",
                f"{parity.landmarks:.1e}",
                f"{parity.nme * 100:.3f}",
                f"{parity.pose_error:.2f}",
                f"{row.milliseconds:.2f}",
                str(row.transposes),
                "kept" if row.kept else "",
            )
        )
    reference = rows[0].parity
    lines.insert(
        1, ("PyTorch", "", "", f"{reference.network_nme * 100:.3f}", f"{reference.network_pose_error:.2f}", "", "", "")
    )
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        first, *rest = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip())
    print(
        "max |diff|: landmarks against PyTorch, crop widths. NME (inter-ocular, yaw up to 60°) and pose error: on the "
        f"held-out renders. ms: median, one thread, this machine ({processor_name()})."
    )


def update_report(folder: Path, rows: list[Row], held_out: CropSet) -> None:
    """Put the rows into folder/report.json, keeping what it says about other files that are still there."""
    path = folder / REPORT
    files: dict[str, Any] = {}
    try:
        files = {
            name: entry for name, entry in json.loads(path.read_bytes())["files"].items() if (folder / name).is_file()
        }
    except (OSError, ValueError, KeyError, AttributeError):
        files = {}  # none yet, or not ours any more
    for row in rows:
        files[row.file] = {
            "precision": row.precision,
            "bytes": row.size,
            "sha256": row.sha256,
            "weights_sha256": row.spec.weights_sha256,
            "versions": dict(row.spec.versions),
            "provenance": dict(row.spec.provenance),
            "milliseconds": {"median": round(row.milliseconds, 3), "threads": 1, "machine": processor_name()},
            "parity": asdict(row.parity),
            "transposes": row.transposes,
            "operators": row.operators,
        }
    report = {
        "held_out": {"sha256": held_out.sha256, "crops": len(held_out.crops), "origin": held_out.origin},
        "files": dict(sorted(files.items())),
    }
    write_atomically(path, (json.dumps(report, indent=1) + "\n").encode())
