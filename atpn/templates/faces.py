"""Maps between a face in an image and the mean-face plane."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from atpn.evaluate.faces import find_faces
from atpn.model import ATPN
from atpn.model.point_head import PromptHead
from atpn.templates.anchors import AnchoredNetwork
from atpn.tufa.inference import context_of, predict_plane
from atpn.tufa.network import TUFA
from atpn.tufa.spline import warp_points
from edge_runtime.detector import Detector
from edge_runtime.geometry import ROI, extract_crop
from edge_runtime.landmarks import WFLW_98
from edge_runtime.sources import read_image

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhotographedFace:
    """One face of an image."""

    image: np.ndarray
    """(H, W, 3) uint8 BGR."""
    roi: ROI
    """Upright, by the crop rule."""
    landmarks: np.ndarray
    """(98, 2) in [0, 1] of the crop."""
    yaw: float
    """Radians."""


def find_face(path: Path, model: ATPN, detector: Detector) -> PhotographedFace:
    """Return the largest face of an image file.

    SourceError if the file is not an image; ValueError if it has no face, or the network has another scheme.
    """
    if model.config.scheme != WFLW_98:
        raise ValueError(
            f"faces are located by {WFLW_98.name} landmarks, but these weights have {model.config.scheme.name}"
        )
    image = read_image(path)
    faces = find_faces(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), model, detector)
    if not faces:
        raise ValueError(f"found no face in {path}; give an image with a frontal face larger than 24 px")
    largest = max(faces, key=lambda face: face.roi.size)
    if len(faces) > 1:
        x, y = round(largest.roi.cx), round(largest.roi.cy)
        log.warning("%s has %d faces: using the largest, at (%d, %d)", path, len(faces), x, y)
    return PhotographedFace(image, largest.roi, largest.roi.to_crop(largest.landmarks), largest.yaw)


def to_plane(pixels: np.ndarray, face: PhotographedFace, anchors: np.ndarray) -> np.ndarray:
    """Map (M, 2) pixels of the image to the plane, given the landmarks' (98, 2) anchors."""
    return warp_points(face.roi.to_crop(pixels), face.landmarks, anchors)


def to_image_points(plane: np.ndarray, face: PhotographedFace, anchored: AnchoredNetwork) -> np.ndarray:
    """Map (M, 2) points of the plane to pixels: by the network if it takes query points, else by warping."""
    network = anchored.network
    if isinstance(network, TUFA):
        crop = _crop(face, network.config.input_size)[None]
        points = predict_plane(network, crop, plane, context_of(network, "template"))[0]
    elif isinstance(network.point_head, PromptHead):
        points = _prompted(network, network.point_head, _crop(face, network.config.input_size), plane)
    else:
        points = warp_points(plane, anchored.of(WFLW_98), face.landmarks)
    return face.roi.to_frame(points)


@torch.no_grad()
def _prompted(network: ATPN, head: PromptHead, crop: np.ndarray, plane: np.ndarray) -> np.ndarray:
    image = torch.from_numpy(crop)[None].permute(0, 3, 1, 2).float()
    vector = network.face_embedding(image)
    return head(vector, torch.from_numpy(plane.astype(np.float32)))[0][0].numpy()


def _crop(face: PhotographedFace, size: int) -> np.ndarray:
    """(size, size, 3) uint8 RGB."""
    return extract_crop(cv2.cvtColor(face.image, cv2.COLOR_BGR2RGB), face.roi, size)
