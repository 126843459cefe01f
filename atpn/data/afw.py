"""AFW (Zhu and Ramanan, 2012) with the 68-point labels of 300W (Sagonas et al., 2013): real faces for evaluation only.

The labels are licensed for research, so no code that trains shipped weights reads this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.coordinates import IN_RANGE, are_coordinates
from atpn.data.sample import Sample
from edge_runtime.decoding import load_image
from edge_runtime.landmarks import IBUG_68
from edge_runtime.reading import MAX_LABEL_BYTES, quote, read_json


@dataclass(frozen=True)
class Photo:
    """One photograph with all its labeled faces."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    faces: tuple[np.ndarray, ...]
    """(68, 2) float32 pixels each, iBUG order, pixel centers at integers."""
    key: str


def read_afw(folder: Path) -> Iterator[Photo]:
    """Yield the photographs of a folder with a `labels.json`: a list of {image, width, height, faces: [{landmarks}]}.

    FileNotFoundError or ValueError if an image is missing, unreadable, or of another size than its label says.
    """
    labels = folder / "labels.json"
    if not labels.exists():
        raise FileNotFoundError(f"{labels} is missing; give the folder that holds AFW's labels.json and images")
    for entry in _entries(labels):
        path = folder / entry["image"]
        try:
            bgr = load_image(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}, listed in {labels}, is missing or not an image ({error})") from error
        if bgr.shape[:2] != (entry["height"], entry["width"]):
            raise ValueError(
                f"{path} is {bgr.shape[1]}x{bgr.shape[0]} pixels, expected {entry['width']}x{entry['height']} as in "
                f"{labels}; use the images that the labels were made for"
            )
        try:
            faces = tuple(np.array(face["landmarks"], np.float64) for face in entry["faces"])
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{path}: landmarks must be pairs of numbers in {labels}") from error
        for face in faces:
            if face.shape != (68, 2) or not are_coordinates(face):
                expected = f"(68, 2) {IN_RANGE}"
                raise ValueError(f"{path}: a face has landmarks of shape {face.shape}, expected {expected}")
        yield Photo(bgr[:, :, ::-1], tuple(face.astype(np.float32) for face in faces), entry["image"])


def _entries(path: Path) -> list[dict[str, Any]]:
    """Read the list of photographs; ValueError if it is damaged."""
    entries = read_json(path, limit=MAX_LABEL_BYTES)
    for entry in entries if isinstance(entries, list) else [entries]:
        try:
            complete = isinstance(entry["image"], str) and all(face["landmarks"] for face in entry["faces"])
            complete = complete and entry.keys() >= {"width", "height"}
        except (AttributeError, KeyError, TypeError):
            complete = False
        if not complete:
            raise ValueError(f"{path}: {quote(entry)} lacks image, width, height, or the landmarks of its faces")
    return list(entries)


def photos_to_samples(photos: Iterable[Photo]) -> list[Sample]:
    """Return a sample for each face; faces of one photograph share its image and are each other's neighbors."""
    samples = []
    for photo in photos:
        for i, face in enumerate(photo.faces):
            others = photo.faces[:i] + photo.faces[i + 1 :]
            neighbors = np.stack(others) if others else None
            samples.append(Sample(photo.image, face, IBUG_68, neighbors=neighbors, key=f"{photo.key} {i}"))
    return samples
