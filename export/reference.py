"""What files are measured against: a network's own results on held-out renders and, when given, on real faces."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from atpn.data.afw import read_afw
from atpn.evaluate.inference import Predictions, predict, predict_embeddings, predictions
from atpn.model import ATPN, load_checkpoint
from atpn.model.checkpoint import weights_sha256
from edge_runtime.geometry import ROI, extract_crop
from edge_runtime.landmarks import IBUG_68, LandmarkScheme, scheme_by_name
from edge_runtime.spec import ModelSpec
from edge_runtime.template import Template
from export.config import CheckOptions
from export.crop_set import CropSet, read_crop_set
from export.errors import ExportError
from export.formats import Predictor
from export.parity import Parity, compare, landmark_errors, without_heads
from export.points import compare_points, file_points, network_points, template_of


@dataclass(frozen=True)
class Reference:
    """A checkpoint and its results."""

    model: ATPN
    metadata: dict[str, Any]
    weights_sha256: str
    scheme: LandmarkScheme
    held_out: CropSet
    expected: Predictions
    real: CropSet | None
    real_expected: Predictions | None
    template: Template | None = None
    """The only one that the network finds, if it is trained for one."""
    vectors: Tensor | None = None
    """(n, 512) of the held-out crops; None for a network that gives landmarks only."""

    @staticmethod
    def open(options: CheckOptions) -> Reference:
        """Run the network over all crops; ValueError or OSError say what is missing or damaged."""
        model, metadata = load_checkpoint(options.weights)
        scheme, size = scheme_by_name(model.config.scheme), model.config.input_size
        held_out = read_crop_set(options.held_out).of_size(size)
        if held_out.scheme is not scheme:
            raise ExportError(
                f"{options.held_out} has {held_out.scheme.name} landmarks, the network predicts {scheme.name}; "
                "make a matching set with `python -m export calibration-set`"
            )
        real = None if options.afw is None else real_faces(options.afw, size)
        return Reference(
            model=model,
            metadata=metadata,
            weights_sha256=weights_sha256(options.weights),
            scheme=scheme,
            held_out=held_out,
            expected=predict(model, held_out.crops),
            real=real,
            real_expected=None if real is None else predict(model, real.crops),
            template=template_of(model, metadata),
            vectors=None if model.point_head is None else predict_embeddings(model, held_out.crops),
        )

    @property
    def sample(self) -> np.ndarray:
        """A crop to time files with."""
        crop: np.ndarray = self.held_out.crops[0]
        return crop

    def check(self, spec: ModelSpec, path: Path) -> None:
        """ExportError when a file's spec is not of such a network."""
        size = self.model.config.input_size
        if spec.scheme != self.scheme.name or spec.input_size != size:
            raise ExportError(
                f"{path} gives {spec.scheme} landmarks from {spec.input_size} px crops, the weights "
                f"{self.scheme.name} from {size} px: name the weights it was made from"
            )
        if spec.points and self.vectors is None:
            raise ExportError(f"{path} gives points, the weights landmarks only: name the weights it was made from")
        if self.template is not None and (spec.template is None or spec.template.name != self.template.name):
            raise ExportError(f"{path} does not find {self.template.name}: name the weights it was made from")

    def measure(self, predictor: Predictor, spec: ModelSpec) -> Parity:
        """A file against the network."""
        expected = self.expected if "pose" in spec.outputs else without_heads(self.expected)
        rows = [predictor(crop) for crop in self.held_out.crops]
        results = predictions(rows)
        parity = compare(results, expected, self.held_out, spec.track_threshold)
        if spec.points and self.vectors is not None:
            ours = network_points(self.model, self.vectors, spec)
            moved = results.landmarks - expected.landmarks
            points = compare_points(file_points(rows), ours, moved, self.held_out.has_face)
            parity = dataclasses.replace(parity, points=points)
        if self.real is None or self.real_expected is None:
            return parity
        results = predictions([predictor(crop) for crop in self.real.crops])
        errors = landmark_errors(results.landmarks, self.real_expected.landmarks, self.scheme, self.real)
        return dataclasses.replace(parity, real=errors)


def real_faces(folder: Path, size: int) -> CropSet:
    """AFW's faces in the crops that their labels ask for, roll 0; to measure on, never to calibrate with."""
    crops, landmarks = [], []
    for photo in read_afw(folder):
        for face in photo.faces:
            roi = ROI.from_landmarks(face)
            crops.append(extract_crop(photo.image, roi, size))
            landmarks.append(roi.to_crop(face).astype(np.float32))
    if not crops:
        raise ExportError(f"{folder} holds no labelled face")
    unknown = np.full((len(crops), 3), np.nan, np.float32)
    return CropSet(np.stack(crops), np.stack(landmarks), unknown, IBUG_68, {"data": "AFW", "faces": len(crops)}, "")
