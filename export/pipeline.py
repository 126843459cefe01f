"""From a checkpoint to checked files in the output folder."""

from __future__ import annotations

import dataclasses
import glob
import logging
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from atpn.model import ATPN
from atpn.model.point_head import PromptHead
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.spec import ModelSpec
from edge_runtime.template import Template
from export import coreml, onnx, tflite
from export.config import AllConfig, CoreMLConfig, ExportOptions, OnnxConfig, TFLiteConfig
from export.crop_set import read_crop_set
from export.errors import ExportError, GateError
from export.formats import Format, Job
from export.measure import Comparison, Measured, Measuring, measure, violations
from export.metadata import make_spec
from export.parity import Parity
from export.points import with_template
from export.reference import Reference
from export.report import write_report
from export.tracks import add_tracks

log = logging.getLogger(__name__)

_IN_FILE_NAMES = re.compile(r"[^\w.-]+")
"""What a template's name has that a file's should not."""
FORMATS: dict[str, Format] = {made.name: made for made in (tflite.FORMAT, onnx.FORMAT, coreml.FORMAT)}


@dataclass(frozen=True)
class Artifact:
    """One file to be made."""

    path: Path
    format: Format
    job: Job


def format_of(path: Path) -> Format:
    """The format of a model file, by its name; ExportError when it is none of ours."""
    for candidate in FORMATS.values():
        if path.suffix == candidate.suffix:
            return candidate
    known = ", ".join(candidate.suffix for candidate in FORMATS.values())
    raise ExportError(f"{path} is no model file: its name ends in none of {known}")


def export(config: TFLiteConfig | OnnxConfig | CoreMLConfig | AllConfig) -> None:
    """Make, check and write every file asked for, then the report. GateError after the last, when one was refused.

    ExportError or OSError when a file cannot be made; what was written before stays.
    """
    reference = Reference.open(config)
    rows: list[Measured[Parity]] = []
    refused: list[str] = []
    for artifact in _artifacts(config, reference):
        try:
            rows.append(make_file(artifact, reference, config.force))
        except GateError as error:
            refused.append(str(error))
    if rows:
        write_report(config.out, add_tracks(rows, config.videos), reference)
    if refused:
        raise GateError("\n".join(refused))


def _artifacts(config: TFLiteConfig | OnnxConfig | CoreMLConfig | AllConfig, reference: Reference) -> list[Artifact]:
    wanted: list[tuple[Format, tuple[str, ...]]]
    match config:
        case TFLiteConfig():
            wanted = [(tflite.FORMAT, config.precision)]
        case OnnxConfig():
            wanted = [(onnx.FORMAT, config.precision)]
        case CoreMLConfig():
            wanted = [(coreml.FORMAT, config.precision)]
        case AllConfig():
            wanted = [
                (tflite.FORMAT, TFLiteConfig().precision),
                (onnx.FORMAT, OnnxConfig().precision),
                (coreml.FORMAT, CoreMLConfig().precision),
            ]
    found = _found(config, reference)
    return [_artifact(config, reference, found, kind, precision) for kind, all_of in wanted for precision in all_of]


@dataclass(frozen=True)
class _Found:
    """What the files find besides the landmarks, by which network."""

    model: ATPN
    template: Template | None
    prompts: int
    name: str
    """Of the files, without precision and extension."""


def _found(config: ExportOptions, reference: Reference) -> _Found:
    model, template = reference.model, reference.template
    if config.template is not None:
        template = Template.read(config.template)
        model = with_template(model, template)
    if template is not None:
        return _Found(model, template, 0, f"{config.name}_{_IN_FILE_NAMES.sub('_', template.name)}")
    if isinstance(model.point_head, PromptHead):
        return _Found(model, None, config.prompts, f"{config.name}_prompt")
    return _Found(model, None, 0, config.name)


def _artifact(config: ExportOptions, reference: Reference, found: _Found, kind: Format, precision: str) -> Artifact:
    calibration, notes = None, {}
    if precision in kind.calibrated:
        crops = read_crop_set(config.calibration).of_size(reference.model.config.input_size)
        calibration = crops.crops[: config.calibration_crops]
        if len(calibration) < (config.calibration_crops or 1):
            raise ExportError(
                f"{config.calibration} holds {len(calibration)} crops, {config.calibration_crops} asked for"
            )
        notes["calibration"] = f"{config.ranges} of {len(calibration)} rendered crops, SHA-256 {crops.sha256[:16]}"
    spec = make_spec(
        reference,
        found.name,
        precision,
        config.heads == "all",
        kind.libraries,
        notes,
        found.template,
        found.prompts,
    )
    path = config.out / f"{found.name}_{precision}{kind.suffix}"
    return Artifact(path, kind, Job(found.model, spec, calibration, config.ranges))


def make_file(artifact: Artifact, reference: Measuring[Comparison], force: bool) -> Measured[Comparison]:
    """Convert into a temporary place, measure there, and move the file to its name if it passes; GateError if not."""
    path, spec = artifact.path, artifact.job.spec
    _remove_leftovers(path)
    if not force and _is_current(path, spec):
        log.info("%s is up to date (same weights, precision, exporter and converters); --force makes it again", path)
        return _gated(measure(path, artifact.format, reference, kept=True), path)
    log.info("converting %s", path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the output folder, so that the rename stays within one file system.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=_candidate_prefix(path)) as folder:
        candidate = Path(folder) / path.name
        artifact.format.write(artifact.job, candidate)
        if ModelSpec.read(candidate).to_json() != spec.to_json():
            raise ExportError(f"{path.name}: the spec read back from the file is not the one written into it")
        row = _gated(measure(candidate, artifact.format, reference), path)
        if path.is_dir():  # a package cannot be renamed over another
            path.rename(Path(folder) / "previous")
        candidate.replace(path)
    return dataclasses.replace(row, path=path)


def _gated(row: Measured[Comparison], path: Path) -> Measured[Comparison]:
    """The row itself; GateError when the file strays too far from the network."""
    if problems := violations(row):
        fate = "is there but fails the check (delete it or use --force)" if row.kept else "was not written"
        raise GateError(f"{path} {fate}: out of bounds: {'; '.join(problems)}")
    return row


def _candidate_prefix(path: Path) -> str:
    # The whole name: exports of several formats may run side by side.
    return f".{path.name}-"


def _remove_leftovers(path: Path) -> None:
    """Remove the candidates of exports of this file that were killed."""
    for folder in path.parent.glob(f"{glob.escape(_candidate_prefix(path))}????????"):
        shutil.rmtree(folder, ignore_errors=True)


def _is_current(path: Path, spec: ModelSpec) -> bool:
    try:
        return path.exists() and ModelSpec.read(path).to_json() == spec.to_json()
    except (EdgeRuntimeError, OSError):
        return False  # damaged or of an older format: made anew
