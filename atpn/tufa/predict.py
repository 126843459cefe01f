"""`python -m atpn tufa predict`: locate a template's points on faces, without training for it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tyro.conf import Positional

from atpn.data.drawing import draw_points, write_image
from atpn.evaluate.faces import DetectedFace, find_faces, list_images
from atpn.model import load_checkpoint, load_network
from atpn.tufa.inference import QueryPoints, context_of, load_query_points, predict_plane
from atpn.tufa.network import TUFA
from atpn.weights import SHIPPED, SHIPPED_TUFA
from edge_runtime.detector import default_detector
from edge_runtime.errors import SourceError
from edge_runtime.files import write_atomically
from edge_runtime.geometry import extract_crop
from edge_runtime.output_paths import OutputFolder
from edge_runtime.sources import read_image

log = logging.getLogger(__name__)


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


def predict_images(config: PredictConfig) -> list[dict[str, Any]]:
    """Return a record per face: `image`, `face` (its number there), `confidence`, `template`, `points` in pixels.

    Images that cannot be read or have no face are logged and skipped. FileNotFoundError if a path has no images;
    ValueError if no image has a face.
    """
    files = list_images(config.images)
    if not files:
        raise ValueError("no images: give at least one image or folder of images")
    model, _ = load_network(config.weights, TUFA)
    query, detector = load_query_points(model, config.template), default_detector()
    atpn, _ = load_checkpoint(config.atpn)
    records: list[dict[str, Any]] = []
    for number, path in enumerate(files):
        try:
            frame = read_image(path)
        except SourceError as error:
            log.warning("skipped: %s", error)
            continue
        image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        faces = find_faces(image, atpn, detector)
        if not faces:
            log.warning(
                "skipped: found no face in %s; it must be upright and wider than a twentieth of the image", path
            )
            continue
        for face, points in enumerate(locate(model, image, faces, query)):
            records.append(
                {
                    "image": str(path),
                    "face": face,
                    "confidence": round(faces[face].confidence, 4),
                    "template": query.name,
                    "points": points.round(2).tolist(),
                }
            )
            draw_points(frame, points, query.edges, max(1.0, faces[face].roi.size / 90))
        if config.out is not None:
            write_image(config.out / f"{number:04d}_{path.stem}.jpg", frame)
    if not records:
        raise ValueError(f"found no face in {len(files)} images; give images of upright faces")
    lines = "".join(json.dumps(record) + "\n" for record in records)
    if config.out is None:
        print(lines, end="")
    else:
        write_atomically(config.out / "points.jsonl", lines.encode())
        log.info("%d faces: %s", len(records), config.out)
    return records


def locate(model: TUFA, image: np.ndarray, faces: list[DetectedFace], query: QueryPoints) -> np.ndarray:
    """Locate query points on the faces of an (H, W, 3) uint8 RGB image; return (n, M, 2) pixels."""
    crops = np.stack([extract_crop(image, face.roi, model.config.input_size) for face in faces])
    places = predict_plane(model, crops, query.plane, context_of(model, query.name))
    return np.stack([face.roi.to_frame(points) for face, points in zip(faces, places, strict=True)])
