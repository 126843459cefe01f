"""A network run on a face, then again on the ROIs that its own landmarks give, as in the tracker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atpn.evaluate.backend import CropPredictor, scheme_of
from atpn.evaluate.inference import Predictions
from edge_runtime.geometry import ROI, extract_crop, upright_roll
from edge_runtime.landmarks import LandmarkScheme, convert
from edge_runtime.tracker import REFINEMENTS

PASSES = ("first", "upright", "settled")
"""Run of the network: on the given ROI, on the upright ROI of the first run's landmarks, and on the tracker's last one
at a detection."""


@dataclass(frozen=True)
class Pass:
    """One run of the network over all faces."""

    rois: list[ROI]
    predicted: Predictions
    landmarks: np.ndarray
    """(n, N, 2) pixels."""


def run_passes(
    network: CropPredictor, images: Sequence[np.ndarray], rois: list[ROI], scheme: LandmarkScheme
) -> dict[str, Pass]:
    """Run all `PASSES` over n (H, W, 3) uint8 RGB images with one ROI each; landmarks are converted to `scheme`."""
    own, mean_shape = scheme_of(network), network.spec.mean_shape
    passes = []
    for _ in range(1 + REFINEMENTS):
        predicted = network.predict(extract_crops(images, rois, network.spec.input_size))
        frame = np.stack([roi.to_frame(points) for roi, points in zip(rois, predicted.landmarks, strict=True)])
        passes.append(Pass(rois, predicted, convert(frame, own, scheme)))
        rois = [region_of(network, points, upright_roll(points, mean_shape)) for points in frame]
    return dict(zip(PASSES, (passes[0], passes[1], passes[-1]), strict=True))


def region_of(network: CropPredictor, landmarks: np.ndarray, roll: float = 0.0) -> ROI:
    """Return the ROI of (N, 2) landmarks by the crop rule, or by the network's own where it has one (`region`)."""
    rule = getattr(network, "region", ROI.from_landmarks)
    return rule(landmarks, roll)


def extract_crops(images: Sequence[np.ndarray], rois: Sequence[ROI], size: int) -> np.ndarray:
    """Return each image's ROI as (n, S, S, 3) uint8."""
    return np.stack([extract_crop(image, roi, size) for image, roi in zip(images, rois, strict=True)])
