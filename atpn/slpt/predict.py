"""`python -m atpn slpt predict`: landmarks and their uncertainty on the faces of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tyro.conf import Positional

from atpn.data.drawing import BITS, draw_points, fixed_point
from atpn.evaluate.faces import DetectedFace
from atpn.evaluate.image_files import predict_files
from atpn.evaluate.inference import predict
from atpn.model import load_checkpoint, load_network
from atpn.slpt.network import SLPT
from atpn.weights import SHIPPED
from edge_runtime.detector import default_detector
from edge_runtime.geometry import extract_crop
from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.output_paths import OutputFolder

_CIRCLE = (200, 120, 255)
"""BGR of the circles of uncertainty."""


@dataclass(frozen=True)
class PredictSLPTConfig:
    """Locate the landmarks of every face of images."""

    weights: Path
    """Checkpoint of `python -m atpn slpt train`."""
    images: Positional[tuple[Path, ...]]
    """Image files and folders of images."""
    out: OutputFolder | None = None
    """Folder for `points.jsonl` and a drawing of each image, with circles of one standard deviation; default: print the
    lines."""
    atpn: Path = SHIPPED
    """ATPN checkpoint that makes the crops."""


@dataclass(frozen=True)
class _Landmarks:
    """See `FacePrediction`."""

    scheme: LandmarkScheme
    places: np.ndarray
    """(N, 2) pixels."""
    sigma: np.ndarray | None
    """(N,) standard deviations along an axis, pixels; None without uncertainty."""

    def fields(self) -> dict[str, Any]:
        result = {"scheme": self.scheme.name, "points": self.places.round(2).tolist()}
        return result if self.sigma is None else result | {"sigma": self.sigma.round(2).tolist()}

    def draw(self, frame: np.ndarray, face: DetectedFace) -> None:
        for place, sigma in zip(self.places, () if self.sigma is None else self.sigma, strict=False):
            cv2.circle(frame, fixed_point(place), round(float(sigma) * 2**BITS), _CIRCLE, 1, cv2.LINE_AA, BITS)
        draw_points(frame, self.places, self.scheme.edges, max(1.0, face.roi.size / 90))


def predict_images(config: PredictSLPTConfig) -> list[dict[str, Any]]:
    """Return a record per face: `scheme`, `points`, and, with uncertainty, `sigma` in pixels; see `predict_files`."""
    (model, _), (atpn, _) = load_network(config.weights, SLPT), load_checkpoint(config.atpn)
    scheme, size = model.config.scheme, model.config.input_size

    def landmarks(image: np.ndarray, faces: list[DetectedFace]) -> list[_Landmarks]:
        found = predict(model, np.stack([extract_crop(image, face.roi, size) for face in faces]))
        sigmas = [
            sigma * face.roi.size if model.config.uncertainty else None
            for face, sigma in zip(faces, found.uncertainty, strict=True)
        ]
        places = [face.roi.to_frame(points) for face, points in zip(faces, found.landmarks, strict=True)]
        return [_Landmarks(scheme, *each) for each in zip(places, sigmas, strict=True)]

    return predict_files(config.images, config.out, atpn, default_detector(), landmarks)
