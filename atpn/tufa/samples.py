"""Labeled images for few-shot fitting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from atpn.evaluate.faces import DetectedFace, find_faces
from atpn.model import ATPN
from edge_runtime.detector import Detector
from edge_runtime.reading import MAX_LABEL_BYTES, read_json
from edge_runtime.sources import read_image


@dataclass(frozen=True)
class LabeledFace:
    """A face with a template's points."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    points: np.ndarray
    """(M, 2) float32 pixels."""
    landmarks: np.ndarray
    """(98, 2) pixels predicted by ATPN: they define the crop, and the points' places on the plane."""


def read_samples(path: Path, atpn: ATPN, detector: Detector) -> list[LabeledFace]:
    """Read the faces of a JSON list of `{"image": PATH, "points": [[x, y], …]}`, one entry per face.

    Paths are relative to the file's folder, points are pixels. FileNotFoundError if there is no such file; SourceError
    for an unreadable image; ValueError if an entry is wrong, or no face is found around its points.
    """
    if not path.exists():
        raise FileNotFoundError(f'no samples file {path}; give a JSON list of {{"image": …, "points": …}}')
    entries = read_json(path, limit=MAX_LABEL_BYTES)
    if not isinstance(entries, list) or not entries:
        raise ValueError(f'{path} must be a non-empty list of {{"image": PATH, "points": [[x, y], …]}}')
    faces = []
    for number, entry in enumerate(entries):
        name = f"{path}, sample {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
            raise ValueError(f"{name}: expected an object with `image` and `points`, got {str(entry)[:60]}")
        points = _points(entry.get("points"), name)
        if faces and len(points) != len(faces[0].points):
            raise ValueError(f"{name}: has {len(points)} points, but the first sample {len(faces[0].points)}")
        image = cv2.cvtColor(read_image(path.parent / entry["image"]), cv2.COLOR_BGR2RGB)
        face = nearest_face(points, find_faces(image, atpn, detector))
        if face is None:
            raise ValueError(f"{name}: found no face around the points in {entry['image']}; remove the sample")
        faces.append(LabeledFace(image, points, face.landmarks))
    return faces


def _points(values: object, name: str) -> np.ndarray:
    try:
        points = np.array(values, np.float32)
    except (TypeError, ValueError):
        points = np.zeros(0, np.float32)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0 or not np.isfinite(points).all():
        raise ValueError(f"{name}: points must be pairs of finite numbers, x then y, got {str(values)[:60]}")
    return points


def nearest_face(points: np.ndarray, faces: list[DetectedFace]) -> DetectedFace | None:
    """Return the face whose crop's center is nearest to the points' center, if that lies within the crop."""
    distances = [float(np.abs(face.roi.to_crop(points.mean(axis=0)) - 0.5).max()) for face in faces]
    best = int(np.argmin(distances)) if faces else 0
    return faces[best] if faces and distances[best] < 0.5 else None
