"""`python -m atpn tufa predict`: a template's points on the faces of pictures, without any training for it."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tyro.conf import Positional

from atpn.evaluate.faces import DetectedFace, find_faces, list_images
from atpn.model import load_checkpoint, load_network
from atpn.tufa.inference import Asked, asked_points, context_of, predict_plane
from atpn.tufa.network import TUFA
from atpn.tufa.pictures import draw_points
from atpn.weights import SHIPPED, SHIPPED_TUFA
from edge_runtime.detector import default_detector
from edge_runtime.errors import SourceError
from edge_runtime.files import write_atomically
from edge_runtime.geometry import extract_crop
from edge_runtime.sources import read_image

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictConfig:
    """Find a template's points on every face of some pictures."""

    template: str
    """A template's JSON file, or the name of a scheme or fitted template that the network knows."""
    images: Positional[tuple[Path, ...]]
    """Pictures and folders of pictures."""
    weights: Path = SHIPPED_TUFA
    """Checkpoint of `python -m atpn tufa train` or `fit`."""
    out: Path | None = None
    """Folder for `points.jsonl` and a picture of each picture with its points; without, the lines are printed."""
    atpn: Path = SHIPPED
    """ATPN checkpoint that makes the crops."""


def predict_images(config: PredictConfig) -> list[dict[str, Any]]:
    """One record per face: `image`, `face` (its number there), `confidence`, `template`, `points` in pixels.

    Pictures that cannot be read or show no face are told and passed over; ValueError when no face is left.
    FileNotFoundError for a path without pictures.
    """
    files = list_images(config.images)
    if not files:
        raise ValueError("give at least one picture, or a folder of pictures")
    model, _ = load_network(config.weights, TUFA)
    asked, detector = asked_points(model, config.template), default_detector()
    atpn, _ = load_checkpoint(config.atpn)
    records: list[dict[str, Any]] = []
    for number, path in enumerate(files):
        try:
            picture = read_image(path)
        except SourceError as error:
            log.warning("skipped: %s", error)
            continue
        image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        faces = find_faces(image, atpn, detector)
        if not faces:
            log.warning("skipped: no face found in %s; is one there, upright and wider than a twentieth of it?", path)
            continue
        for face, points in enumerate(points_on(model, image, faces, asked)):
            records.append(
                {
                    "image": str(path),
                    "face": face,
                    "confidence": round(faces[face].confidence, 4),
                    "template": asked.name,
                    "points": points.round(2).tolist(),
                }
            )
            draw_points(picture, points, asked.edges, max(1.0, faces[face].roi.size / 90))
        if config.out is not None:
            _write_picture(config.out / f"{number:04d}_{path.stem}.jpg", picture)
    if not records:
        raise ValueError(f"no face in any of the {len(files)} pictures")
    lines = "".join(json.dumps(record) + "\n" for record in records)
    if config.out is None:
        print(lines, end="")
    else:
        write_atomically(config.out / "points.jsonl", lines.encode())
        log.info("%d faces: %s", len(records), config.out)
    return records


def points_on(model: TUFA, image: np.ndarray, faces: list[DetectedFace], asked: Asked) -> np.ndarray:
    """(n, M, 2) pixels of an (H, W, 3) uint8 RGB picture: what is asked, on its faces."""
    crops = np.stack([extract_crop(image, face.roi, model.config.input_size) for face in faces])
    places = predict_plane(model, crops, asked.plane, context_of(model, asked.name))
    return np.stack([face.roi.to_frame(points) for face, points in zip(faces, places, strict=True)])


def _write_picture(path: Path, picture: np.ndarray) -> None:
    _, encoded = cv2.imencode(path.suffix, picture)
    write_atomically(path, encoded.tobytes())
