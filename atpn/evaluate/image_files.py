"""Predictions for the faces of image files: one JSON line per face, and a drawing per image."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from atpn.data.drawing import write_image
from atpn.evaluate.faces import DetectedFace, find_faces, list_images
from atpn.model import ATPN
from edge_runtime.detector import Detector
from edge_runtime.errors import SourceError
from edge_runtime.files import write_atomically
from edge_runtime.sources import read_image

log = logging.getLogger(__name__)

FILE = "points.jsonl"


class FacePrediction(Protocol):
    """What a network says about one face."""

    def fields(self) -> dict[str, Any]:
        """Return the fields of its JSON line."""

    def draw(self, frame: np.ndarray, face: DetectedFace) -> None:
        """Draw it into the (H, W, 3) uint8 BGR image."""


Locate = Callable[[np.ndarray, list[DetectedFace]], Sequence[FacePrediction]]
"""Predicts the faces of an (H, W, 3) uint8 RGB image, in their order."""


def predict_files(
    images: Sequence[Path], out: Path | None, atpn: ATPN, detector: Detector, locate: Locate
) -> list[dict[str, Any]]:
    """Write records and drawings to the folder `out`, or print the records without one; return them.

    A record has `image`, `face` (its number there), `confidence`, and the prediction's fields. Images that cannot be
    read or have no face are logged and skipped. FileNotFoundError if a path has no images; ValueError if no image has a
    face.
    """
    files = list_images(images)
    if not files:
        raise ValueError("no images: give at least one image or folder of images")
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
        for index, (face, prediction) in enumerate(zip(faces, locate(image, faces), strict=True)):
            about = {"image": str(path), "face": index, "confidence": round(face.confidence, 4)}
            records.append(about | prediction.fields())
            prediction.draw(frame, face)
        if out is not None:
            write_image(out / f"{number:04d}_{path.stem}.jpg", frame)
    if not records:
        raise ValueError(f"found no face in {len(files)} images; give images of upright faces")
    lines = "".join(json.dumps(record) + "\n" for record in records)
    if out is None:
        print(lines, end="")
    else:
        write_atomically(out / FILE, lines.encode())
        log.info("%d faces: %s", len(records), out)
    return records
