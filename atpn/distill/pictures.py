"""A user's own pictures as training faces: what ATPN sees in them stands in for labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from atpn.data.sample import Sample
from atpn.model import ATPN
from atpn.train.faces import faces_of
from edge_runtime.detector import Detector
from edge_runtime.sources import IMAGE_SUFFIXES

log = logging.getLogger(__name__)

CONTEXT = 1.5
"""Region sizes around a face that are kept of its picture: jittered crops stray."""


class FoundFaces:
    """Faces of pictures without labels, by index, as `SampleStore` gives those of renders."""

    dense_count = 0

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = list(samples)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]

    @staticmethod
    def read(paths: Sequence[Path], atpn: ATPN, detector: Detector) -> FoundFaces:
        """Every face of these pictures and folders of pictures; ValueError when there is none in any."""
        samples, files = [], [file for path in paths for file in _pictures(path)]
        for file in files:
            picture = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
            if picture is None:
                log.warning("%s is no picture that OpenCV reads; left out", file)
                continue
            for number, face in enumerate(faces_of(picture, atpn, detector)):
                samples.append(_cut(picture, face.landmarks, face.roi.size, f"{file.name}:{number}"))
        if not samples:
            raise ValueError(f"no face was found in {len(files)} pictures of {', '.join(map(str, paths))}")
        log.info("%d faces in %d pictures", len(samples), len(files))
        return FoundFaces(samples)


def _pictures(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(file for file in path.glob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise FileNotFoundError(f"no picture in {path}; --images takes pictures and folders of pictures")
    return found


def _cut(picture: np.ndarray, landmarks: np.ndarray, size: float, key: str) -> Sample:
    """The face's surroundings, so that a thousand large photographs fit into memory."""
    centre = landmarks.mean(axis=0)
    low = np.maximum(np.floor(centre - CONTEXT * size), 0).astype(int)
    high = np.ceil(centre + CONTEXT * size).astype(int)
    part = np.ascontiguousarray(picture[low[1] : high[1], low[0] : high[0]])
    return Sample(image=part, landmarks=(landmarks - low).astype(np.float32), key=key)
