"""A user's own pictures as training faces: what ATPN sees in them stands in for labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from atpn.data.sample import Sample
from atpn.evaluate.faces import find_faces, list_images
from atpn.model import ATPN
from edge_runtime.detector import Detector
from edge_runtime.errors import SourceError
from edge_runtime.sources import read_image

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
        """Every face of these pictures and folders of pictures; ValueError when there is none in any.

        FileNotFoundError for a path without pictures; a picture that cannot be read is told and left out.
        """
        samples, files = [], list_images(paths)
        for file in files:
            try:
                picture = cv2.cvtColor(read_image(file), cv2.COLOR_BGR2RGB)
            except SourceError as error:
                log.warning("left out: %s", error)
                continue
            for number, face in enumerate(find_faces(picture, atpn, detector)):
                samples.append(_cut(picture, face.landmarks, face.roi.size, f"{file.name}:{number}"))
        if not samples:
            raise ValueError(f"no face was found in {len(files)} pictures of {', '.join(map(str, paths))}")
        log.info("%d faces in %d pictures", len(samples), len(files))
        return FoundFaces(samples)


def _cut(picture: np.ndarray, landmarks: np.ndarray, size: float, key: str) -> Sample:
    """The face's surroundings, so that a thousand large photographs fit into memory."""
    centre = landmarks.mean(axis=0)
    low = np.maximum(np.floor(centre - CONTEXT * size), 0).astype(int)
    high = np.ceil(centre + CONTEXT * size).astype(int)
    part = np.ascontiguousarray(picture[low[1] : high[1], low[0] : high[0]])
    return Sample(image=part, landmarks=(landmarks - low).astype(np.float32), key=key)
