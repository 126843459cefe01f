"""One exported file's figures, and whether they are good enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.spec import ModelSpec
from export.errors import ExportError
from export.formats import Format, sha256_of, size_of
from export.parity import BOUNDS, MOST_TRANSPOSES, Parity, median_milliseconds
from export.reference import Reference

TRANSPOSES = ("TRANSPOSE", "Transpose", "transpose")
"""Names of the operator that a careless conversion is full of, in TFLite, ONNX and MIL."""


@dataclass(frozen=True)
class Measured:
    """One file."""

    path: Path
    format: Format
    spec: ModelSpec
    size: int
    """Bytes."""
    sha256: str
    milliseconds: float | None
    """Median of one crop, one thread, this machine; None where the format's engine does not run."""
    parity: Parity
    operators: dict[str, int]
    kept: bool = False
    """The file was there already and up to date."""
    tracks: dict[str, dict[str, float]] = field(default_factory=dict)
    """By video: how far its tracks are from the first file's, see `tracks.add_tracks`."""

    @property
    def transposes(self) -> int:
        """How many times the file changes a tensor's layout."""
        return sum(self.operators.get(name, 0) for name in TRANSPOSES)


def measure(path: Path, kind: Format, reference: Reference, kept: bool = False) -> Measured:
    """Run a file over the reference's crops. ExportError or EdgeRuntimeError when it cannot be read or run."""
    spec = ModelSpec.read(path)
    if spec.scheme != reference.scheme.name or spec.input_size != reference.model.config.input_size:
        raise ExportError(
            f"{path} gives {spec.scheme} landmarks from {spec.input_size} px crops, the weights "
            f"{reference.scheme.name} from {reference.model.config.input_size} px: name the weights it was made from"
        )
    predictor = kind.load(path)
    return Measured(
        path=path,
        format=kind,
        spec=spec,
        size=size_of(path),
        sha256=sha256_of(path),
        milliseconds=median_milliseconds(predictor, reference.held_out.crops[0]) if kind.native else None,
        parity=reference.measure(predictor, spec),
        operators=kind.count_operators(path),
        kept=kept,
    )


def violations(row: Measured) -> list[str]:
    """What of a file is out of bounds, and by how much."""
    problems = row.parity.violations(BOUNDS[row.spec.precision])
    if "CUSTOM" in row.operators:
        problems.append("custom operators, allowed none: a device's runtime has builtin ones only")
    if row.transposes > MOST_TRANSPOSES:
        problems.append(f"transposes {row.transposes}, allowed {MOST_TRANSPOSES}: each copies a whole tensor")
    return problems
