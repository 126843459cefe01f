"""One exported file's figures, and whether they are good enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from edge_runtime.spec import ModelSpec
from export.formats import Format, Predictor, sha256_of, size_of
from export.parity import MOST_TRANSPOSES, median_milliseconds

TRANSPOSES = ("TRANSPOSE", "Transpose", "transpose")
"""Names of the operator that a careless conversion is full of, in TFLite, ONNX and MIL."""


class Compared(Protocol):
    """A file against its network."""

    def problems(self, precision: str) -> list[str]:
        """What is out of the precision's bounds, and by how much."""

    def figures(self) -> dict[str, float]:
        """All that bounds speak of."""


Comparison = TypeVar("Comparison", bound=Compared)
Found = TypeVar("Found", bound=Compared, covariant=True)


class Measuring(Protocol[Found]):
    """A network and its results, which files are measured against."""

    @property
    def sample(self) -> np.ndarray:
        """An (S, S, 3) uint8 picture to time files with."""

    def check(self, spec: ModelSpec, path: Path) -> None:
        """ExportError when a file's spec is not of such a network."""

    def measure(self, predictor: Predictor, spec: ModelSpec) -> Found:
        """A file against the network."""


@dataclass(frozen=True)
class Measured(Generic[Comparison]):
    """One file."""

    path: Path
    format: Format
    spec: ModelSpec
    size: int
    """Bytes."""
    sha256: str
    milliseconds: float | None
    """Median of one crop, one thread, this machine; None where the format's engine does not run."""
    parity: Comparison
    operators: dict[str, int]
    kept: bool = False
    """The file was there already and up to date."""
    tracks: dict[str, dict[str, float]] = field(default_factory=dict)
    """By video: how far its tracks are from the first file's, see `tracks.add_tracks`."""

    @property
    def transposes(self) -> int:
        """How many times the file changes a tensor's layout."""
        return sum(self.operators.get(name, 0) for name in TRANSPOSES)


def measure(path: Path, kind: Format, reference: Measuring[Comparison], kept: bool = False) -> Measured[Comparison]:
    """Run a file over the reference's pictures. ExportError or EdgeRuntimeError when it cannot be read or run."""
    spec = ModelSpec.read(path)
    reference.check(spec, path)
    predictor = kind.load(path)
    return Measured(
        path=path,
        format=kind,
        spec=spec,
        size=size_of(path),
        sha256=sha256_of(path),
        milliseconds=median_milliseconds(predictor, reference.sample) if kind.native else None,
        parity=reference.measure(predictor, spec),
        operators=kind.count_operators(path),
        kept=kept,
    )


def violations(row: Measured[Any]) -> list[str]:
    """What of a file is out of bounds, and by how much."""
    problems: list[str] = row.parity.problems(row.spec.precision)
    if "CUSTOM" in row.operators:
        problems.append("custom operators, allowed none: a device's runtime has builtin ones only")
    if row.transposes > MOST_TRANSPOSES:
        problems.append(f"transposes {row.transposes}, allowed {MOST_TRANSPOSES}: each copies a whole tensor")
    return problems + row.format.find_problems(row.path)
