"""Evaluate one exported file: parity with its network, size, latency, operators."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from edge_runtime.machine import processor_name
from edge_runtime.spec import DetectorSpec, ModelSpec, read_spec
from export.errors import ExportError
from export.formats.base import Format, Predictor, sha256_of, size_of
from export.report import Report

Tolerances = Mapping[str, float]
"""Metric: its largest value in a file that is written."""
TIMED_RUNS = 100
MAX_TRANSPOSES = 2
"""Operators that change a tensor's layout; each copies a whole tensor."""
TRANSPOSES = ("TRANSPOSE", "Transpose", "transpose")
"""Names of this operator in TFLite, ONNX and MIL."""


class Parity(Protocol):
    """A file's outputs compared with its network's."""

    def metrics(self) -> dict[str, float | None]:
        """Return all metrics by name; None for outputs that the file lacks and images that were not given."""

    def details(self) -> dict[str, Any]:
        """Return what else report.json holds."""


ParityT = TypeVar("ParityT", bound=Parity)


class ParityEvaluator(Protocol[ParityT]):
    """A network and its outputs, which files are compared with."""

    @property
    def weights_sha256(self) -> str:
        """Hash of the network's weights."""

    @property
    def tolerances(self) -> Mapping[str, Tolerances]:
        """Tolerances by precision."""

    @property
    def sample(self) -> np.ndarray:
        """An (S, S, 3) uint8 image to measure latency with."""

    def check_spec(self, spec: ModelSpec | DetectorSpec, path: Path) -> None:
        """Raise ExportError when a file's spec is not of such a network."""

    def evaluate(self, predictor: Predictor, spec: ModelSpec | DetectorSpec) -> ParityT:
        """Compare a file with the network."""

    def report(self, artifacts: Sequence[ArtifactReport[ParityT]]) -> Report:
        """Describe files of this network."""


Column = tuple[str, str, Sequence[str]]
"""Of a table of files: header, the network's cell, a cell per file."""


@dataclass(frozen=True)
class ArtifactReport(Generic[ParityT]):
    """The evaluation of one file."""

    path: Path
    format: Format
    spec: ModelSpec | DetectorSpec
    size: int
    """Bytes."""
    sha256: str
    milliseconds: float | None
    """Median latency of one image, one thread, this machine; None where the format's engine does not run."""
    parity: ParityT
    operators: dict[str, int]
    problems: tuple[str, ...]
    """Tolerances that the file exceeds, and by how much; a file without any passes."""
    up_to_date: bool = False
    """Whether the file was there before and needed no conversion."""
    tracks: dict[str, dict[str, float]] = field(default_factory=dict)
    """Difference of its tracks from the first file's, by video, see `tracks.add_tracks`."""

    @property
    def transposes(self) -> int:
        """Number of operators that change a tensor's layout."""
        return count_transposes(self.operators)

    def entry(self) -> dict[str, Any]:
        """Return the file's entry of report.json."""
        time = None if self.milliseconds is None else round(self.milliseconds, 3)
        return {
            "format": self.format.name,
            "precision": self.spec.precision,
            "outputs": list(self.spec.outputs),
            "bytes": self.size,
            "sha256": self.sha256,
            "weights_sha256": self.spec.weights_sha256,
            "versions": dict(self.spec.versions),
            "provenance": dict(self.spec.provenance),
            "milliseconds": time and {"median": time, "threads": 1, "machine": processor_name()},
            "parity": {
                **{name: value for name, value in self.parity.metrics().items() if value is not None},
                **self.parity.details(),
            },
            "tracks": self.tracks,
            "transposes": self.transposes,
            "operators": self.operators,
        }


def table_of(
    artifacts: Sequence[ArtifactReport[ParityT]], measured: Sequence[Column], more: Sequence[Column] = ()
) -> list[list[str]]:
    """Return a header, the network's row, and a row per file, with these columns; empty ones are left out."""
    columns = [
        ("file", "PyTorch", [each.path.name for each in artifacts]),
        ("KiB", "", [f"{each.size / 1024:.0f}" for each in artifacts]),
        *measured,
        ("transposes", "", [str(each.transposes) for each in artifacts]),
        ("ms", "", ["" if each.milliseconds is None else f"{each.milliseconds:.2f}" for each in artifacts]),
        *more,
        ("", "", ["up to date" if each.up_to_date else "" for each in artifacts]),
    ]
    shown = [[header, network, *cells] for header, network, cells in columns if network or any(cells)]
    return [list(row) for row in zip(*shown, strict=True)]


def evaluate_artifact(
    path: Path, kind: Format, evaluator: ParityEvaluator[ParityT], up_to_date: bool = False
) -> ArtifactReport[ParityT]:
    """Run a file over the evaluator's images. ExportError or EdgeRuntimeError when it cannot be read or run."""
    spec = read_spec(path)
    evaluator.check_spec(spec, path)
    tolerances = evaluator.tolerances.get(spec.precision)
    if tolerances is None:
        known = ", ".join(evaluator.tolerances)
        raise ExportError(f"{path} has precision {spec.precision!r}, expected one of {known}: export it again")
    predictor = kind.load(path)
    milliseconds = median_milliseconds(predictor, evaluator.sample) if kind.native else None
    parity, operators = evaluator.evaluate(predictor, spec), kind.count_operators(path)
    problems = exceeded_tolerances(parity.metrics(), tolerances)
    if "CUSTOM" in operators:
        problems.append("custom operators, expected none: a device's runtime has builtin ones only")
    if (transposes := count_transposes(operators)) > MAX_TRANSPOSES:
        problems.append(f"transposes is {transposes}, tolerance {MAX_TRANSPOSES}")
    return ArtifactReport(
        path=path,
        format=kind,
        spec=spec,
        size=size_of(path),
        sha256=sha256_of(path),
        milliseconds=milliseconds,
        parity=parity,
        operators=operators,
        problems=(*problems, *kind.find_problems(path)),
        up_to_date=up_to_date,
    )


def exceeded_tolerances(metrics: Mapping[str, float | None], tolerances: Tolerances) -> list[str]:
    """Describe metrics that exceed their tolerance, are not finite, or have a tolerance and were not computed.

    A metric that is None does not apply to the file.
    """
    measured = {name: value for name, value in metrics.items() if value is not None}
    problems = [
        f"{name} is {value}, expected a finite number" for name, value in measured.items() if not isfinite(value)
    ]
    problems += [
        f"{name} has tolerance {limit:g} but was not computed, expected one of {', '.join(metrics)}"
        for name, limit in tolerances.items()
        if name not in metrics
    ]
    return problems + [
        f"{name} is {measured[name]:.3g}, tolerance {limit:g}"
        for name, limit in tolerances.items()
        if name in measured and measured[name] > limit
    ]


def count_transposes(operators: Mapping[str, int]) -> int:
    """Return how often a file changes a tensor's layout."""
    return sum(operators.get(name, 0) for name in TRANSPOSES)


def median_milliseconds(predictor: Predictor, image: np.ndarray) -> float:
    """Return the median time of one image through a file on this machine, after a warm-up."""
    times = []
    for run in range(TIMED_RUNS + 10):
        start = time.perf_counter()
        predictor(image)
        if run >= 10:
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3
