"""Convert, evaluate, check tolerances, write, report: the steps of every export."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.spec import DetectorSpec, ModelSpec, open_model_file
from export.candidates import candidate_folder, install, remove_leftovers
from export.errors import ExportError, ParityError
from export.evaluation import ArtifactReport, ParityEvaluator, ParityT, evaluate_artifact
from export.formats.base import Format, Job
from export.tracks import add_tracks

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """One file to write."""

    path: Path
    format: Format
    job: Job


def export_artifacts(
    artifacts: Iterable[Artifact],
    evaluator: ParityEvaluator[ParityT],
    out: Path,
    force: bool = False,
    videos: Sequence[Path] = (),
) -> None:
    """Export files one by one, compare their tracks on the videos, and report them to `out`.

    Raises:
        ParityError: Files exceed a tolerance; raised after the last file.
        ExportError: A file cannot be converted; what was written before stays.
        OSError: A file cannot be written; what was written before stays.
    """
    reports: list[ArtifactReport[ParityT]] = []
    rejected: list[str] = []
    for artifact in list(artifacts):  # a missing input ends the export before the first conversion
        try:
            reports.append(export_artifact(artifact, evaluator, force))
        except ParityError as error:
            rejected.append(str(error))
    if reports:
        reports = add_tracks(reports, videos)
        evaluator.report(reports).write(out, {report.path.name: report.entry() for report in reports})
    if rejected:
        raise ParityError("\n".join(rejected))


def export_artifact(
    artifact: Artifact, evaluator: ParityEvaluator[ParityT], force: bool = False
) -> ArtifactReport[ParityT]:
    """Export one file and write it only if it passes the evaluation.

    Raises:
        ParityError: A metric exceeds its tolerance. No file is written.
    """
    path, job = artifact.path, artifact.job.with_inputs_hash()
    spec = job.spec
    remove_leftovers(path)
    if not force and _is_up_to_date(path, spec):
        log.info("%s is up to date (same network, options, calibration, converters); --force converts again", path)
        return _check_parity(evaluate_artifact(path, artifact.format, evaluator, up_to_date=True), path)
    log.info("converting %s", path.name)
    with candidate_folder(path) as folder:
        candidate = folder / path.name
        artifact.format.write(job, candidate)
        if not _holds_spec(candidate, spec):
            raise ExportError(f"{path.name}: the spec read back from the file is not the one written into it")
        report = _check_parity(evaluate_artifact(candidate, artifact.format, evaluator), path)
        install(candidate, path)
    return dataclasses.replace(report, path=path)


def _check_parity(report: ArtifactReport[ParityT], path: Path) -> ArtifactReport[ParityT]:
    """Return the report itself; ParityError when the file exceeds a tolerance."""
    if report.problems:
        state = "fails the check (delete it or use --force)" if report.up_to_date else "was not written"
        raise ParityError(f"{path} {state}: {'; '.join(report.problems)}")
    return report


def _is_up_to_date(path: Path, spec: ModelSpec | DetectorSpec) -> bool:
    """Return whether the file is whole and holds this spec, which names or hashes all that shapes the file."""
    try:
        return path.exists() and _holds_spec(path, spec)
    except (EdgeRuntimeError, OSError):
        return False  # damaged or of an older version: converted again


def _holds_spec(path: Path, spec: ModelSpec | DetectorSpec) -> bool:
    """Return whether a file's spec is exactly this one, and its checksum; errors as of `read_spec`."""
    written, file = open_model_file(path)
    expected = dataclasses.replace(spec, content_sha256=written.content_sha256)
    return bool(written.content_sha256) and file.spec_json == expected.to_json()
