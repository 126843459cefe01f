"""`python -m atpn tufa predict`: locate a template's points on faces, without training for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tyro.conf import Positional

from atpn.data.drawing import draw_points
from atpn.evaluate.faces import DetectedFace
from atpn.evaluate.image_files import predict_files
from atpn.model import load_checkpoint, load_network
from atpn.tufa.inference import QueryPoints, context_of, load_query_points, predict_plane
from atpn.tufa.network import TUFA
from atpn.weights import SHIPPED, SHIPPED_TUFA
from edge_runtime.detector import default_detector
from edge_runtime.geometry import extract_crop
from edge_runtime.output_paths import OutputFolder


@dataclass(frozen=True)
class PredictConfig:
    """Locate a template's points on every face of images."""

    template: str
    """A template's JSON file, or the name of a scheme or fitted template that the network knows."""
    images: Positional[tuple[Path, ...]]
    """Image files and folders of images."""
    weights: Path = SHIPPED_TUFA
    """Checkpoint of `python -m atpn tufa train` or `fit`."""
    out: OutputFolder | None = None
    """Folder for `points.jsonl` and a drawing of each image; default: print the lines."""
    atpn: Path = SHIPPED
    """ATPN checkpoint that makes the crops."""


@dataclass(frozen=True)
class _Points:
    """See `FacePrediction`."""

    query: QueryPoints
    places: np.ndarray
    """(M, 2) pixels."""

    def fields(self) -> dict[str, Any]:
        return {"template": self.query.name, "points": self.places.round(2).tolist()}

    def draw(self, frame: np.ndarray, face: DetectedFace) -> None:
        draw_points(frame, self.places, self.query.edges, max(1.0, face.roi.size / 90))


def predict_images(config: PredictConfig) -> list[dict[str, Any]]:
    """Return a record per face with `template` and `points` in pixels; see `predict_files`."""
    model, _ = load_network(config.weights, TUFA)
    query, (atpn, _) = load_query_points(model, config.template), load_checkpoint(config.atpn)

    def points(image: np.ndarray, faces: list[DetectedFace]) -> list[_Points]:
        return [_Points(query, places) for places in locate(model, image, faces, query)]

    return predict_files(config.images, config.out, atpn, default_detector(), points)


def locate(model: TUFA, image: np.ndarray, faces: list[DetectedFace], query: QueryPoints) -> np.ndarray:
    """Locate query points on the faces of an (H, W, 3) uint8 RGB image; return (n, M, 2) pixels."""
    crops = np.stack([extract_crop(image, face.roi, model.config.input_size) for face in faces])
    places = predict_plane(model, crops, query.plane, context_of(model, query.name))
    return np.stack([face.roi.to_frame(points) for face, points in zip(faces, places, strict=True)])
