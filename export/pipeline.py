"""From a checkpoint to checked files in the output folder."""

from __future__ import annotations

import functools
import glob
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atpn.model import ATPN, load_checkpoint
from atpn.model.checkpoint import weights_sha256
from atpn.train.inference import Predictions, predict
from edge_runtime.backends import load_backend
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.landmarks import scheme_by_name
from edge_runtime.spec import ModelSpec
from export import onnx, quantise, tflite
from export.config import OnnxConfig, TFLiteConfig
from export.crop_set import CropSet, read_crop_set
from export.errors import ExportError, GateError
from export.metadata import append_spec, make_spec
from export.parity import BOUNDS, Bounds, Parity, compare, median_milliseconds, run_file
from export.report import Row, print_table, update_report

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Artifact:
    """One file to be made."""

    path: Path
    spec: ModelSpec
    convert: Callable[[], bytes]
    """Makes the file's bytes, spec included."""
    count_operators: Callable[[bytes], dict[str, int]]


def export_tflite(config: TFLiteConfig) -> None:
    """Write NAME_PRECISION.tflite for each precision asked for; ExportError or OSError when that cannot be."""
    source = _Source.open(config)
    calibration: CropSet | None = None
    if "int8" in config.precision:
        calibration = read_crop_set(config.calibration).of_size(source.model.config.input_size)
    base = functools.cache(lambda: tflite.convert(source.model))
    artifacts = []
    for precision in config.precision:
        notes: dict[str, str] = {}
        if precision == "int8" and calibration is not None:
            notes["calibration"] = f"{len(calibration.crops)} rendered crops, SHA-256 {calibration.sha256[:16]}"
        spec = source.spec(precision, tflite.LIBRARIES, notes)

        def convert(precision: str = precision, spec: ModelSpec = spec) -> bytes:
            if precision == "int8" and calibration is not None:
                content = quantise.to_int8(tflite.convert(source.model, for_int8=True), calibration.crops)
            else:
                content = quantise.to_float16(base()) if precision == "float16" else base()
            return append_spec(tflite.compact(content), spec)

        path = config.out / f"{config.name}_{precision}.tflite"
        artifacts.append(_Artifact(path, spec, convert, tflite.count_operators))
    source.make(artifacts)


def export_onnx(config: OnnxConfig) -> None:
    """Write NAME_PRECISION.onnx; ExportError or OSError when that cannot be."""
    source = _Source.open(config)
    artifacts = []
    for precision in config.precision:
        spec = source.spec(precision, onnx.LIBRARIES, {})

        def convert(spec: ModelSpec = spec) -> bytes:
            return onnx.convert(source.model, spec)

        artifacts.append(_Artifact(config.out / f"{config.name}_{precision}.onnx", spec, convert, onnx.count_operators))
    source.make(artifacts)


@dataclass(frozen=True)
class _Source:
    """A checkpoint, its held-out crops, and what the network says about them."""

    config: TFLiteConfig | OnnxConfig
    model: ATPN
    metadata: dict[str, Any]
    held_out: CropSet
    expected: Predictions

    @staticmethod
    def open(config: TFLiteConfig | OnnxConfig) -> _Source:
        model, metadata = load_checkpoint(config.weights)
        held_out = read_crop_set(config.held_out).of_size(model.config.input_size)
        if held_out.scheme is not scheme_by_name(model.config.scheme):
            raise ExportError(
                f"{config.held_out} has {held_out.scheme.name} landmarks, the network predicts {model.config.scheme}; "
                "make a matching set with `python -m export calibration-set`"
            )
        return _Source(config, model, metadata, held_out, predict(model, held_out.crops))

    def spec(self, precision: str, libraries: tuple[str, ...], notes: dict[str, str]) -> ModelSpec:
        sha256 = weights_sha256(self.config.weights)
        return make_spec(self.model, self.metadata, sha256, self.config.name, precision, libraries, notes)

    def make(self, artifacts: list[_Artifact]) -> None:
        """Make, check and write each; the table and report cover all that passed. GateError after the last."""
        rows, refused = [], []
        for artifact in artifacts:
            _remove_leftovers(artifact.path)
            try:
                rows.append(self._make(artifact))
            except GateError as error:
                refused.append(str(error))
        if rows:
            print_table(rows)
            update_report(self.config.out, rows, self.held_out)
        if refused:
            raise GateError("\n".join(refused))

    def _make(self, artifact: _Artifact) -> Row:
        path = artifact.path
        if not self.config.force and _is_current(path, artifact.spec):
            log.info(
                "%s is up to date (same weights, precision, exporter and converters); --force makes it again", path
            )
            return self._checked(artifact, path, kept=True)
        log.info("converting %s", path.name)
        content = artifact.convert()
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the output folder, so that the rename stays within one file system.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=_candidate_prefix(path)) as folder:
            candidate = Path(folder) / path.name
            candidate.write_bytes(content)
            row = self._checked(artifact, candidate, kept=False)
            candidate.replace(path)
        return row

    def _checked(self, artifact: _Artifact, file: Path, kept: bool) -> Row:
        """Measure a file; GateError when it strays too far from the network."""
        content = file.read_bytes()
        operators = artifact.count_operators(content)
        backend = load_backend(file, threads=1)
        if backend.spec.to_json() != artifact.spec.to_json():
            raise ExportError(f"{file.name}: the spec read back from the file is not the one written into it")
        results = run_file(backend, self.held_out.crops)
        parity = compare(results, self.expected, self.held_out, artifact.spec.track_threshold)
        _gate(artifact, parity, operators, kept)
        return Row(
            file=artifact.path.name,
            precision=artifact.spec.precision,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            milliseconds=median_milliseconds(backend, self.held_out.crops[0]),
            parity=parity,
            operators=operators,
            spec=artifact.spec,
            kept=kept,
        )


def _gate(artifact: _Artifact, parity: Parity, operators: dict[str, int], kept: bool) -> None:
    bounds: Bounds = BOUNDS[artifact.spec.precision]
    problems = parity.violations(bounds)
    if "CUSTOM" in operators:
        problems.append("custom operators, allowed none: a device's runtime has builtin ones only")
    if problems:
        fate = "is there but fails the check (delete it or use --force)" if kept else "was not written"
        raise GateError(f"{artifact.path} {fate}: out of bounds: {'; '.join(problems)}")


def _candidate_prefix(path: Path) -> str:
    # The whole name: TFLite and ONNX exports may run side by side.
    return f".{path.name}-"


def _remove_leftovers(path: Path) -> None:
    """Remove the candidates of exports of this file that were killed."""
    for folder in path.parent.glob(f"{glob.escape(_candidate_prefix(path))}????????"):
        shutil.rmtree(folder, ignore_errors=True)


def _is_current(path: Path, spec: ModelSpec) -> bool:
    try:
        return path.is_file() and ModelSpec.read(path).to_json() == spec.to_json()
    except (EdgeRuntimeError, OSError):
        return False  # damaged or of an older format: made anew
