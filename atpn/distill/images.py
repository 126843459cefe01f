"""A user's unlabeled images as training faces, with ATPN's landmarks as labels."""

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
"""Margin around a face's center that is kept of its image for jittered crops, in ROI sizes."""


class UnlabeledFaces:
    """Faces of unlabeled images by index, like a `SampleStore`."""

    dense_count = 0

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = list(samples)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]

    @staticmethod
    def read(paths: Sequence[Path], atpn: ATPN, detector: Detector) -> UnlabeledFaces:
        """Detect every face of these images and folders of images; an unreadable image is logged and skipped.

        FileNotFoundError if a path has no images; ValueError if no image has a face.
        """
        samples, files = [], list_images(paths)
        for file in files:
            try:
                image = cv2.cvtColor(read_image(file), cv2.COLOR_BGR2RGB)
            except SourceError as error:
                log.warning("skipped: %s", error)
                continue
            for number, face in enumerate(find_faces(image, atpn, detector)):
                samples.append(_cut(image, face.landmarks, face.roi.size, f"{file.name}:{number}"))
        if not samples:
            raise ValueError(
                f"found no face in {len(files)} images of {', '.join(map(str, paths))}; give images of upright faces"
            )
        log.info("%d faces in %d images", len(samples), len(files))
        return UnlabeledFaces(samples)


def _cut(image: np.ndarray, landmarks: np.ndarray, size: float, key: str) -> Sample:
    """Cut out the face's surroundings, so that a thousand large photographs fit into memory."""
    center = landmarks.mean(axis=0)
    low = np.maximum(np.floor(center - CONTEXT * size), 0).astype(int)
    high = np.ceil(center + CONTEXT * size).astype(int)
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    return Sample(image=part, landmarks=(landmarks - low).astype(np.float32), key=key)
