"""Export landmark models: their files, the evaluation of these, and the report."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from atpn.data.afw import read_afw
from atpn.evaluate.inference import (
    ExpressionPredictions,
    Predictions,
    predict,
    predict_embeddings,
    predict_expressions,
    predictions,
)
from atpn.model import ATPN, load_checkpoint
from atpn.model.checkpoint import weights_sha256
from atpn.model.point_head import PromptHead
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.geometry import ROI, extract_crop
from edge_runtime.landmarks import IBUG_68, LandmarkScheme
from edge_runtime.spec import DetectorSpec, ModelSpec, standard_outputs
from edge_runtime.template import Template
from export.config import ExportConfig, LandmarkOptions
from export.crop_set import CropSet, read_crop_set
from export.errors import ExportError, ParityError
from export.evaluation import ArtifactReport, Tolerances
from export.expressions import compare_expressions, file_expressions
from export.formats import load_format
from export.formats.base import Format, Job, Predictor
from export.landmark_metrics import TOLERANCES, LandmarkParity, compare, landmark_errors
from export.landmark_report import describe
from export.metadata import origin_of
from export.pipeline import Artifact, export_artifacts
from export.points import compare_points, file_points, network_points, template_of, with_template
from export.report import Report

_NOT_IN_FILE_NAMES = re.compile(r"[^\w.-]+")


def export_landmarks(config: ExportConfig, formats: Sequence[str]) -> None:
    """Export landmark models in these formats; see `pipeline.export_artifacts` for errors.

    A network whose files exceed a tolerance does not keep the next one from being exported.
    """
    kinds = [load_format(name) for name in formats]
    chosen = [(kind, p) for kind in kinds for p in kind.precisions if p in config.precision or not config.precision]
    if missing := set(config.precision) - {precision for _, precision in chosen}:
        raise ExportError(f"--precision {', '.join(sorted(missing))}: {', '.join(formats)} has no such precision")
    rejected: list[str] = []
    for name, evaluator in LandmarkEvaluator.load_all(config).items():
        artifacts = artifacts_of(config, config.name or name, evaluator, chosen)
        try:
            export_artifacts(artifacts, evaluator, config.out, config.force, config.videos)
        except ParityError as error:
            rejected.append(str(error))
    if rejected:
        raise ParityError("\n".join(rejected))


def artifacts_of(
    config: ExportConfig, name: str, evaluator: LandmarkEvaluator, chosen: Sequence[tuple[Format, str]]
) -> Iterator[Artifact]:
    """Yield the files of a network in these formats and precisions; `name`: see `ExportConfig.name`."""
    model, template, prompts = evaluator.model, evaluator.template, 0
    if config.template is not None:
        template = Template.read(config.template)
        model = with_template(model, template)
    if template is not None:
        name = f"{name}_{_NOT_IN_FILE_NAMES.sub('_', template.name)}"
    elif isinstance(model.point_head, PromptHead):
        prompts, name = config.prompts, f"{name}_prompt"
    points = prompts if template is None else len(template.points)
    for kind, precision in chosen:
        calibration, notes = _calibration(config, model) if precision in kind.calibrated else (None, {})
        spec = ModelSpec(
            name=name,
            scheme=model.config.scheme.name,
            scheme_definition=model.config.scheme,
            mean_shape=model.mean_shape.numpy(),
            outputs=standard_outputs(
                model.config.landmark_count,
                with_heads=config.heads != "none",
                points=points,
                with_expressions=config.heads == "all" and model.expression_branch is not None,
            ),
            input_size=model.config.input_size,
            precision=precision,
            template=template,
            prompts=prompts,
            **origin_of(evaluator, kind.libraries, notes),
        )
        path = config.out / f"{name}_{precision}{kind.suffix}"
        yield Artifact(path, kind, Job(model, spec, calibration, config.ranges))


def _calibration(config: ExportConfig, model: ATPN) -> tuple[np.ndarray, dict[str, str]]:
    crops = read_crop_set(config.calibration, model.config.input_size)
    images = crops.crops[: config.calibration_crops]
    if len(images) < (config.calibration_crops or 1):
        raise ExportError(
            f"--calibration-crops {config.calibration_crops}: {config.calibration} holds {len(images)} crops only"
        )
    return images, {"calibration": f"{config.ranges} of {len(images)} rendered crops, SHA-256 {crops.sha256[:16]}"}


@dataclass(frozen=True)
class LandmarkEvaluator:
    """A checkpoint and its predictions, see `evaluation.ParityEvaluator`."""

    tolerances: ClassVar[Mapping[str, Tolerances]] = TOLERANCES
    model: ATPN
    metadata: dict[str, Any]
    weights_sha256: str
    scheme: LandmarkScheme
    held_out: CropSet
    expected: Predictions
    """Of the held-out crops."""
    real: CropSet | None
    real_expected: Predictions | None
    template: Template | None = None
    """The template that the network is trained for, if it is."""
    vectors: Tensor | None = None
    """(n, 512) of the held-out crops; None for a network that gives landmarks only."""
    expressions: ExpressionPredictions | None = None
    """Of the held-out crops; None for a network without them."""
    page: str = "report"
    """Name of its report's page, see `Report.page`."""

    @staticmethod
    def load_all(options: LandmarkOptions) -> dict[str, LandmarkEvaluator]:
        """Load each network of the options, by the name of its files; the first one's page is `report`."""
        pages = ("report" if number == 0 else f"report_{name}" for number, name in enumerate(options.networks))
        return {
            name: LandmarkEvaluator.load(options, weights, page)
            for (name, weights), page in zip(options.networks.items(), pages, strict=True)
        }

    @staticmethod
    def load(options: LandmarkOptions, weights: Path, page: str = "report") -> LandmarkEvaluator:
        """Run the network on all crops. ValueError or OSError say what is missing or damaged."""
        model, metadata = load_checkpoint(weights)
        config = model.config
        if config.missing_parts or config.heatmaps != "none":
            how = f"without {', '.join(config.missing_parts)}" if config.missing_parts else "with heatmaps"
            raise ExportError(
                f"{weights} is an ablation's network, {how}; files hold the device's architecture: train one "
                "with all its parts"
            )
        scheme, size = model.config.scheme, model.config.input_size
        held_out = read_crop_set(options.held_out, size)
        if held_out.scheme != scheme:
            raise ExportError(
                f"{options.held_out} has {held_out.scheme.name} landmarks, the network predicts {scheme.name}; "
                "make another set from renders with those by `python -m export calibration-set`"
            )
        real = None if options.afw is None else real_faces(options.afw, size)
        return LandmarkEvaluator(
            model=model,
            metadata=metadata,
            weights_sha256=weights_sha256(weights),
            scheme=scheme,
            held_out=held_out,
            expected=predict(model, held_out.crops),
            real=real,
            real_expected=None if real is None else predict(model, real.crops),
            template=template_of(model, metadata),
            vectors=None if model.point_head is None else predict_embeddings(model, held_out.crops),
            expressions=None if model.expression_branch is None else predict_expressions(model, held_out.crops),
            page=page,
        )

    @property
    def sample(self) -> np.ndarray:
        """A crop to measure latency with."""
        crop: np.ndarray = self.held_out.crops[0]
        return crop

    def check_spec(self, spec: ModelSpec | DetectorSpec, path: Path) -> None:
        """Raise ExportError when a file's spec is not of such a network."""
        size, problem = self.model.config.input_size, ""
        if isinstance(spec, DetectorSpec):
            problem = "detections, the weights landmarks"
        elif spec.landmark_scheme != self.scheme or spec.input_size != size:
            problem = (
                f"{spec.scheme} landmarks of {spec.input_size} px crops, the weights {self.scheme.name} of {size} px"
            )
        elif spec.points and self.vectors is None:
            problem = "points, the weights landmarks only"
        elif spec.has_expressions and self.expressions is None:
            problem = "expressions, the weights none"
        elif self.template is not None and (spec.template is None or spec.template.name != self.template.name):
            problem = f"no points of {self.template.name}, which the weights are for"
        if problem:
            raise ExportError(f"{path} gives {problem}: give the weights that it was made from by --weights")

    def evaluate(self, predictor: Predictor, spec: ModelSpec | DetectorSpec) -> LandmarkParity:
        """Compare a file with the network."""
        spec = ModelSpec.check_kind(spec)
        outputs = [predictor(crop) for crop in self.held_out.crops]
        results = predictions(outputs)
        heads = spec.track_threshold if "confidence" in spec.outputs else None
        parity = compare(results, self.expected, self.held_out, heads)
        if spec.points:
            assert self.vectors is not None  # `check_spec`
            network = network_points(self.model, self.vectors, spec)
            difference = results.landmarks - self.expected.landmarks
            points = compare_points(file_points(outputs), network, difference, self.held_out.has_face)
            parity = dataclasses.replace(parity, points=points)
        if spec.has_expressions:
            assert self.expressions is not None  # `check_spec`
            expressions = compare_expressions(file_expressions(outputs), self.expressions, self.held_out)
            parity = dataclasses.replace(parity, expressions=expressions)
        if self.real is None or self.real_expected is None:
            return parity
        results = predictions([predictor(crop) for crop in self.real.crops])
        real, network_real = (
            landmark_errors(each.landmarks, self.scheme, self.real) for each in (results, self.real_expected)
        )
        return dataclasses.replace(parity, real=real, network_real=network_real)

    def report(self, artifacts: Sequence[ArtifactReport[LandmarkParity]]) -> Report:
        """Describe files of this network."""
        crops = self.held_out
        held_out = {"sha256": crops.sha256, "crops": len(crops.crops), "origin": crops.origin}
        real = None if self.real is None else self.real.origin
        evaluation = {"weights_sha256": self.weights_sha256, "held_out": held_out, "real": real}
        return describe(artifacts, evaluation, self.page)


def real_faces(folder: Path, size: int) -> CropSet:
    """Cut AFW's faces as their labels ask for, roll 0; to evaluate on, never to calibrate with."""
    crops, landmarks = [], []
    for photo in read_afw(folder):
        for face in photo.faces:
            roi = ROI.from_landmarks(face)
            crops.append(extract_crop(photo.image, roi, size))
            landmarks.append(roi.to_crop(face).astype(np.float32))
    if not crops:
        raise ExportError(f"{folder} holds no labeled face")

    def unknown(*shape: int) -> np.ndarray:
        return np.full((len(crops), *shape), np.nan, np.float32)

    return CropSet(
        crops=np.stack(crops),
        landmarks=np.stack(landmarks),
        pose=unknown(3),
        expressions=unknown(len(EXPRESSIONS)),
        gaze=unknown(2, 2),
        scheme=IBUG_68,
        origin={"data": "AFW", "faces": len(crops)},
        sha256="",
    )
