"""Faces of pictures without labels, in the crops that the tracking network asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atpn.evaluate.inference import predict
from atpn.model import ATPN
from edge_runtime.detector import Detector
from edge_runtime.geometry import ROI, extract_crop, upright_roll
from edge_runtime.identity import same_face
from edge_runtime.sources import IMAGE_SUFFIXES
from edge_runtime.spec import ModelSpec
from edge_runtime.tracker import REFINEMENTS


@dataclass(frozen=True)
class FoundFace:
    """One face of a picture."""

    roi: ROI
    """The upright crop that its landmarks ask for."""
    landmarks: np.ndarray
    """(98, 2) pixels of the picture, as ATPN says."""
    confidence: float
    """Probability in [0, 1] that it is one."""
    spread: float
    """Mean standard deviation of the landmarks, crop widths."""
    yaw: float
    """Radians, against the crop's own viewing ray."""


def pictures_of(paths: Sequence[Path]) -> list[Path]:
    """The files of these pictures and folders of pictures, a folder's by name.

    FileNotFoundError for a path that does not exist and a folder that holds none.
    """
    files: list[Path] = []
    for path in paths:
        found = [path]
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
        if not found or not path.exists():
            raise FileNotFoundError(f"no picture in {path}; give pictures and folders of pictures")
        files += found
    return files


def faces_of(image: np.ndarray, atpn: ATPN, detector: Detector) -> list[FoundFace]:
    """Faces of an (H, W, 3) uint8 RGB picture, the detector's best first; those that ATPN doubts are left out."""
    found: list[FoundFace] = []
    for roi in detector.detect(np.ascontiguousarray(image[:, :, ::-1])):
        face = face_at(image, roi, atpn)
        sure = face.confidence >= ModelSpec.track_threshold and face.spread <= ModelSpec.uncertainty_threshold
        if sure and not any(same_face(face.landmarks, other.landmarks) for other in found):
            found.append(face)
    return found


def face_at(image: np.ndarray, roi: ROI, atpn: ATPN) -> FoundFace:
    """The face of an (H, W, 3) uint8 RGB picture whose region is about known."""
    mean_shape = atpn.mean_shape.numpy()
    for _ in range(1 + REFINEMENTS):  # as the tracker does at a detection
        seen = predict(atpn, extract_crop(image, roi, atpn.config.input_size)[None])
        landmarks = roi.to_frame(seen.landmarks[0])
        roi = ROI.from_landmarks(landmarks, upright_roll(landmarks, mean_shape))
    spread, yaw = float(seen.uncertainty.mean()), float(seen.pose[0, 1])
    return FoundFace(roi, landmarks, float(seen.confidence[0]), spread, yaw)
