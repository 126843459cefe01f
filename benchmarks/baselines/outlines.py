"""Errors of several networks against outlines drawn by hand, on the London set: which anybody may repeat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atpn.data.converting import Conversion, CutoutConfig
from atpn.data.readers.registry import find_datasets
from atpn.data.sample import Sample
from atpn.evaluate.protocols.outlines import FRAMED, face_errors
from benchmarks.baselines.accuracy import locate
from benchmarks.baselines.network import WFLW_OF_IBUG, LandmarkNetwork, scaled
from benchmarks.results import Metric, mean_metric
from edge_runtime.geometry import ROI

TABLE = "London set, outlines drawn by hand"
FACE_SIZE = 384
"""Side of a face's region in pixels; the largest input of a network is 224."""


def read_faces(folder: Path) -> list[Sample]:
    """Return the set's faces; ValueError or FileNotFoundError if the folder is not the set's."""
    found = find_datasets(folder, "london")[0]
    conversion = Conversion(found, "all", cutout=CutoutConfig(face_size=FACE_SIZE))
    return list(conversion.cut(conversion.samples()))


def evaluate_outlines(network: LandmarkNetwork, faces: Sequence[Sample], box_scale: float) -> list[Metric]:
    """Return mean distances to the curves and points, % of the outer eye corners' distance.

    Of iBUG's points, which all networks have (but for some), and of all landmarks of those that have WFLW's 98.
    """
    kept = np.full((98, 1), np.nan)
    kept[WFLW_OF_IBUG] = 0.0
    landmarks = [_locate(network, face, box_scale) for face in faces]
    metrics = _metrics(network.name, faces, [points + kept for points in landmarks], "iBUG's points")
    if not np.isnan(landmarks).any():
        metrics += _metrics(network.name, faces, landmarks, "98 points")
    return metrics


def _locate(network: LandmarkNetwork, face: Sample, box_scale: float) -> np.ndarray:
    box = scaled(ROI.from_landmarks(face.landmarks[list(FRAMED)], margin=0.0), box_scale)
    frame = np.ascontiguousarray(face.image[:, :, ::-1])
    return network.to_wflw(locate(network, frame, box))


def _metrics(name: str, faces: Sequence[Sample], landmarks: Sequence[np.ndarray], which: str) -> list[Metric]:
    errors = [face_errors(face.landmarks, points) for face, points in zip(faces, landmarks, strict=True)]
    per_face = {row: np.array([np.nanmean(each[row][:, 0]) for each in errors]) for row in ("curves", "points")}
    return [mean_metric(TABLE, name, f"{row}, {which}", 100 * distances) for row, distances in per_face.items()]
