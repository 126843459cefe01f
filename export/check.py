"""`python -m export check` and `list`: evaluate and list exported files."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from atpn.model.checkpoint import weights_sha256
from atpn.model.detector import FaceDetector
from atpn.weights import shipped_networks
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.model_file import SUFFIXES
from edge_runtime.spec import DetectorSpec, read_spec
from export.config import CheckConfig, ListConfig
from export.detector import DetectorEvaluator
from export.errors import ExportError, ParityError
from export.evaluation import ArtifactReport, ParityEvaluator, ParityT, evaluate_artifact
from export.formats import FORMATS, load_format
from export.formats.base import Format, sha256_of, size_of
from export.landmarks import LandmarkEvaluator
from export.report import align, reported_sha256
from export.tracks import add_tracks


def check(config: CheckConfig) -> None:
    """Evaluate files with the weights. ParityError lists what is wrong with each."""
    if not config.files:
        raise ExportError("no files to check: give some, for instance dist/*.tflite")
    detectors = [path for path in config.files if _is_detector(path)]
    others = [path for path in config.files if path not in detectors]
    problems: list[str] = []
    if others:
        evaluators = LandmarkEvaluator.load_all(config).values()
        for evaluator, paths in by_network(others, list(evaluators)):
            problems += _check_files(paths, evaluator, config.report, config.videos)
    if detectors:
        problems += _check_files(detectors, DetectorEvaluator.load(config.detector), config.report)
    if problems:
        raise ParityError("\n".join(problems))


def by_network(
    paths: Sequence[Path], evaluators: Sequence[LandmarkEvaluator]
) -> list[tuple[LandmarkEvaluator, list[Path]]]:
    """Return the files that each network is to be compared with: those made from it, and the first one all others."""
    files: dict[str, list[Path]] = {evaluator.weights_sha256: [] for evaluator in evaluators}
    for path in paths:
        origin = None
        with contextlib.suppress(EdgeRuntimeError, OSError):  # reported when it is evaluated
            origin = read_spec(path).weights_sha256
        files[origin if origin in files else evaluators[0].weights_sha256].append(path)
    return [(each, files[each.weights_sha256]) for each in evaluators if files[each.weights_sha256]]


def _check_files(
    paths: Sequence[Path], evaluator: ParityEvaluator[ParityT], folder: Path | None, videos: Sequence[Path] = ()
) -> list[str]:
    """Report every file that can be evaluated and return what is wrong with each."""
    reports, problems = [], []
    for path in paths:
        try:
            report = evaluate_artifact(path, format_of(path), evaluator)
        except (EdgeRuntimeError, ExportError, OSError) as error:
            problems.append(str(error))
            continue
        reports.append(report)
        if found := [*_wrong_origin(report, evaluator.weights_sha256), *report.problems]:
            problems.append(f"{path}: {'; '.join(found)}")
    if reports:
        reports = add_tracks(reports, videos)
        table = evaluator.report(reports)
        if folder is None:
            table.print()
        else:
            table.write(folder, {report.path.name: report.entry() for report in reports})
    return problems


def format_of(path: Path) -> Format:
    """Return the format of a model file, by its name. ExportError when it has none of ours."""
    formats = [load_format(name) for name in FORMATS]
    for candidate in formats:
        if path.suffix == candidate.suffix:
            return candidate
    known = ", ".join(candidate.suffix for candidate in formats)
    raise ExportError(f"{path} is not a model file: expected a name that ends in one of {known}")


def _is_detector(path: Path) -> bool:
    try:
        return isinstance(read_spec(path), DetectorSpec)
    except (EdgeRuntimeError, OSError):
        return False  # reported when it is evaluated


def _wrong_origin(report: ArtifactReport[ParityT], weights: str) -> list[str]:
    """Compare a file with its spec and with the report beside it."""
    problems = []
    if report.spec.weights_sha256 != weights:
        problems.append(f"made from other weights ({report.spec.weights_sha256[:12]}, not {weights[:12]})")
    written = reported_sha256(report.path)
    if written is not None and written != report.sha256:
        problems.append(f"changed since it was written (SHA-256 {report.sha256[:12]}, the report says {written[:12]})")
    return problems


def list_files(config: ListConfig) -> None:
    """Print a line for each model file of a folder; for a file that cannot be read, the reason."""
    paths = sorted(path for path in config.out.glob("*") if path.suffix in SUFFIXES)
    if not paths:
        raise ExportError(f"no model file in {config.out}: run `make export` or give another folder by --out")
    networks = shipped_networks().values() if config.weights is None else [config.weights]
    current = {weights_sha256(path) for path in networks}
    if config.detector.is_file():
        current.add(weights_sha256(config.detector, FaceDetector))
    table = [("file", "KiB", "precision", "scheme", "outputs", "weights", "SHA-256")]
    for path in paths:
        kib = f"{size_of(path) / 1024:.0f}"
        try:
            spec = read_spec(path)
        except EdgeRuntimeError as error:
            table.append((path.name, kib, f"unreadable: {error}", "", "", "", ""))
            continue
        origin = "these" if spec.weights_sha256 in current else f"others, {spec.weights_sha256[:12]}"
        outputs = ", ".join(spec.outputs)
        scheme = "" if isinstance(spec, DetectorSpec) else spec.scheme
        table.append((path.name, kib, spec.precision, scheme, outputs, origin, sha256_of(path)[:12]))
    print(align(table))
