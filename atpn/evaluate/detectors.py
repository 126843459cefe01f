"""Detected regions of labeled faces."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from atpn.data.sample import Sample
from edge_runtime.detector import Detector, open_detector
from edge_runtime.geometry import ROI

DETECTION_IOU = 0.3
"""Minimum IoU of a detected ROI with the true one: from there the tracking network finds the face."""


def make_detector(name: str) -> Detector | None:
    """Return the detector of this name, see `edge_runtime.detector.open_detector`; None for `none`."""
    return None if name == "none" else open_detector(name)


def detect_rois(samples: Iterable[Sample], detector: Detector) -> list[ROI | None]:
    """Return the best-fitting detected ROI for each sample's face; None for a miss.

    Samples that share an image must be consecutive, so that it is searched once.
    """
    regions: list[ROI | None] = []
    searched, candidates = None, []
    for sample in samples:
        if sample.image is not searched:
            searched = sample.image
            candidates = detector.detect(np.ascontiguousarray(searched[:, :, ::-1]))
        ground_truth = ROI.from_landmarks(sample.landmarks)
        best = max(candidates, key=ground_truth.iou, default=None)
        regions.append(best if best is not None and ground_truth.iou(best) >= DETECTION_IOU else None)
    return regions
