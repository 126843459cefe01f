"""Faces in images without labels, in the crops that the tracking network needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atpn.evaluate.inference import predict
from atpn.model import ATPN
from edge_runtime.detector import Detector
from edge_runtime.files import natural_key
from edge_runtime.geometry import ROI, extract_crop, upright_roll
from edge_runtime.identity import same_face
from edge_runtime.sources import IMAGE_SUFFIXES
from edge_runtime.spec import ModelSpec
from edge_runtime.tracker import REFINEMENTS


@dataclass(frozen=True)
class DetectedFace:
    """One face of an image."""

    roi: ROI
    """The upright crop of its landmarks."""
    landmarks: np.ndarray
    """(98, 2) predicted pixels of the image."""
    confidence: float
    """Probability of a face."""
    spread: float
    """Mean standard deviation of the landmarks, crop widths."""
    yaw: float
    """Radians, relative to the crop's viewing ray."""


def list_images(paths: Sequence[Path]) -> list[Path]:
    """Return the image files at these paths; those of a folder are in natural order, 2 before 10.

    FileNotFoundError for a path that does not exist or a folder without images.
    """
    files: list[Path] = []
    for path in paths:
        faces = [path]
        if path.is_dir():
            faces = [f for f in path.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and f.is_file()]
            faces.sort(key=natural_key)
        if not faces or not path.exists():
            raise FileNotFoundError(f"no image in {path}; give images and folders of images")
        files += faces
    return files


def find_faces(image: np.ndarray, atpn: ATPN, detector: Detector) -> list[DetectedFace]:
    """Find faces of an (H, W, 3) uint8 RGB image, the detector's best first; those that ATPN rejects are left out."""
    faces: list[DetectedFace] = []
    for roi in detector.detect(np.ascontiguousarray(image[:, :, ::-1])):
        face = refine_face(image, roi, atpn)
        accepted = face.confidence >= ModelSpec.track_threshold and face.spread <= ModelSpec.uncertainty_threshold
        if accepted and not any(same_face(face.landmarks, other.landmarks) for other in faces):
            faces.append(face)
    return faces


def refine_face(image: np.ndarray, roi: ROI, atpn: ATPN) -> DetectedFace:
    """Predict the face of an (H, W, 3) uint8 RGB image from an approximate ROI."""
    mean_shape = atpn.mean_shape.numpy()
    for _ in range(1 + REFINEMENTS):  # as the tracker does at a detection
        predictions = predict(atpn, extract_crop(image, roi, atpn.config.input_size)[None])
        landmarks = roi.to_frame(predictions.landmarks[0])
        roi = ROI.from_landmarks(landmarks, upright_roll(landmarks, mean_shape))
    spread, yaw = float(predictions.uncertainty.mean()), float(predictions.pose[0, 1])
    return DetectedFace(roi, landmarks, float(predictions.confidence[0]), spread, yaw)
