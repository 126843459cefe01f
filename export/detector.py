"""Export detectors: their files, the evaluation of these, and the report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from atpn.model import load_network
from atpn.model.checkpoint import weights_sha256
from atpn.model.detector import FaceDetector
from atpn.train.detection import MIN_SCORE, compute_metrics, raw_detections
from edge_runtime.detector import decode_detections
from edge_runtime.spec import DetectorSpec, ModelSpec, detector_outputs
from export.config import DetectorConfig, DetectorOptions
from export.errors import ExportError
from export.evaluation import ArtifactReport, Tolerances, table_of
from export.formats import load_format
from export.formats.base import Job, Predictor
from export.image_set import ImageSet, read_image_set
from export.metadata import origin_of
from export.pipeline import Artifact, export_artifacts
from export.report import Report

THRESHOLD = 0.3
"""Score from which the runtime gives a region to the tracking network: a miss costs more than a false alarm."""
TOLERANCES: Mapping[str, Tolerances] = MappingProxyType(
    {
        "fp32": {"scores": 1e-4, "regions": 1e-4},
        "fp16": {"scores": 0.02, "regions": 2e-3, "precision_loss": 0.005, "overlap_loss": 0.005},
        "int8": {"precision_loss": 0.01, "overlap_loss": 0.02},
    }
)
"""Tolerances by precision, of metrics of `DetectorParity`; other metrics have none."""


def export_detector(config: DetectorConfig) -> None:
    """Export a detector's files; see `pipeline.export_artifacts` for errors."""
    evaluator = DetectorEvaluator.load(config)
    export_artifacts(_artifacts(config, evaluator), evaluator, config.out, config.force)


def _artifacts(config: DetectorConfig, evaluator: DetectorEvaluator) -> Iterator[Artifact]:
    model = evaluator.model
    for file in config.files:
        format_name, precision = file.split("-")
        kind = load_format(format_name)
        calibration, notes = None, {}
        if precision in kind.calibrated:
            image_set = read_image_set(config.calibration, model.config.input_size)
            calibration = image_set.images
            notes["calibration"] = f"min-max of {len(calibration)} rendered images, SHA-256 {image_set.sha256[:16]}"
        spec = DetectorSpec(
            name=config.name,
            outputs=detector_outputs(model.config.grid),
            input_size=model.config.input_size,
            track_threshold=THRESHOLD,
            precision=precision,
            **origin_of(evaluator, kind.libraries, notes),
        )
        path = config.out / f"{config.name}_{precision}{kind.suffix}"
        yield Artifact(path, kind, Job(model, spec, calibration))


@dataclass(frozen=True)
class DetectorParity:
    """A file's outputs compared with its network's, on the same images."""

    scores: float
    """Largest difference."""
    regions: float
    """Largest difference of a coordinate where the network detects a face, in image sides; NaN if it detects none."""
    average_precision: float
    overlap: float
    """Mean overlap (IoU) of detected faces with the labels."""
    network_average_precision: float
    network_overlap: float

    def metrics(self) -> dict[str, float | None]:
        """Return all metrics by name."""
        return {
            **asdict(self),
            "precision_loss": self.network_average_precision - self.average_precision,
            "overlap_loss": self.network_overlap - self.overlap,
        }

    def details(self) -> dict[str, Any]:
        """Return nothing more."""
        return {}


@dataclass(frozen=True)
class DetectorEvaluator:
    """A detector's checkpoint and its outputs, see `evaluation.ParityEvaluator`."""

    tolerances: ClassVar[Mapping[str, Tolerances]] = TOLERANCES
    model: FaceDetector
    metadata: dict[str, Any]
    weights_sha256: str
    held_out: ImageSet
    scores: np.ndarray
    """(n, G, G)."""
    regions: np.ndarray
    """(n, G, G, 3)."""

    @staticmethod
    def load(options: DetectorOptions) -> DetectorEvaluator:
        """Run the network on all images. ValueError or OSError say what is missing or damaged."""
        model, metadata = load_network(options.weights, FaceDetector)
        held_out = read_image_set(options.held_out, model.config.input_size)
        sha256 = weights_sha256(options.weights, FaceDetector)
        return DetectorEvaluator(model, metadata, sha256, held_out, *raw_detections(model, held_out.images))

    @property
    def sample(self) -> np.ndarray:
        """An image to measure latency with."""
        return self.held_out.composites[0].image

    def check_spec(self, spec: ModelSpec | DetectorSpec, path: Path) -> None:
        """Raise ExportError when a file's spec is not of such a network."""
        if not isinstance(spec, DetectorSpec) or spec.input_size != self.model.config.input_size:
            raise ExportError(f"{path} is not a detector for {self.model.config.input_size} px images")

    def evaluate(self, predictor: Predictor, spec: ModelSpec | DetectorSpec) -> DetectorParity:
        """Compare a file with the network."""
        outputs = [predictor(image) for image in self.held_out.images]
        scores, regions = (np.stack([row[name] for row in outputs]) for name in ("scores", "rois"))
        detected = self.scores >= spec.track_threshold
        file, network = self._accuracy(scores, regions), self._accuracy(self.scores, self.regions)
        return DetectorParity(
            scores=float(np.abs(scores - self.scores).max()),
            regions=float(np.abs(regions - self.regions)[detected].max()) if detected.any() else math.nan,
            average_precision=float(file["average_precision"]),
            overlap=float(file["overlap"]),
            network_average_precision=float(network["average_precision"]),
            network_overlap=float(network["overlap"]),
        )

    def _accuracy(self, scores: np.ndarray, regions: np.ndarray) -> dict[str, float]:
        detections = [decode_detections(s, r, MIN_SCORE) for s, r in zip(scores, regions, strict=True)]
        return compute_metrics(detections, self.held_out.composites)

    def report(self, artifacts: Sequence[ArtifactReport[DetectorParity]]) -> Report:
        """Describe files of this network."""
        each = [artifact.parity for artifact in artifacts]
        network = each[0]
        table = table_of(
            artifacts,
            [
                ("score max |diff|", "", [f"{p.scores:.1e}" for p in each]),
                ("region max |diff|", "", [f"{p.regions:.1e}" for p in each]),
                (
                    "AP %",
                    f"{100 * network.network_average_precision:.2f}",
                    [f"{100 * p.average_precision:.2f}" for p in each],
                ),
                ("overlap", f"{network.network_overlap:.3f}", [f"{p.overlap:.3f}" for p in each]),
            ],
        )
        legend = (
            f"diff: against PyTorch on {len(self.held_out.composites)} images of rendered people that training did not "
            "use. AP: average precision at half overlap; overlap: of detected faces with their labels. "
            "ms: median, one thread, this machine."
        )
        held_out = {"sha256": self.held_out.sha256, "origin": self.held_out.origin}
        return Report("detector_report", table, legend, {"weights_sha256": self.weights_sha256, "held_out": held_out})
