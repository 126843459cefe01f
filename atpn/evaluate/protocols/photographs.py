"""Landmarks, pose and tracking on the photographs of a split, subset by subset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from atpn.data.converting import Conversion, Cutting
from atpn.data.crops import filled
from atpn.data.readers.w300lp import dataset_angles
from atpn.data.sample import Sample
from atpn.evaluate import metrics
from atpn.evaluate.backend import CropPredictor
from atpn.evaluate.passes import run_passes
from atpn.evaluate.protocols.published import FULL
from atpn.evaluate.tracking import tracking_crops, tracking_figures
from edge_runtime.geometry import ROI, angles_to_matrix, crop_to_camera
from edge_runtime.landmarks import LandmarkScheme, convert, scheme_by_name

CHUNK = 64
"""Photographs held in memory at a time."""
AS_THEY_ARE = Cutting(face_size=1 << 20, context=2.5)
"""Faces with their surroundings, never shrunk."""
SURROUNDED = Cutting(face_size=1 << 20, context=5.0, smallest=60.0)
"""Room for negatives, and only faces from 60 pixels on (thesis, section 3.3.2)."""
POSE_FAILURE = 10.0
"""Degrees (thesis, table 3.6)."""


def landmark_figures(
    network: CropPredictor, conversion: Conversion, over: Callable[[np.ndarray, LandmarkScheme], np.ndarray]
) -> dict[str, Any]:
    """By pass and subset: faces, NME, failures and AUC at a tenth, in shares of what `over` gives for (n, M, 2) labels.

    "first" crops by the labels along the image's axes, as the thesis does, "upright" again by what the first said. A
    landmark whose place the labels do not know counts for nothing.
    """
    errors: dict[str, list[np.ndarray]] = {"first": [], "upright": []}
    subsets: list[list[str]] = []
    for chunk in chunks(conversion):
        scheme = scheme_by_name(chunk[0].scheme)
        target, rois = _labelled(network, chunk, scheme)
        made = run_passes(network, [sample.image for sample in chunk], rois, scheme)
        for name, kept in errors.items():
            points = metrics.point_errors(made[name].landmarks, target, over(target, scheme))
            kept.append(np.nanmean(points, axis=1))
        subsets += [sample.attributes.get("subsets", "").split() for sample in chunk]
    return {name: _by_subset(np.concatenate(rows), subsets, _nme) for name, rows in errors.items()}


def pose_figures(network: CropPredictor, conversion: Conversion) -> dict[str, Any]:
    """By pass and subset: mean absolute errors in degrees of the dataset's own angles, and how many faces' mean error
    exceeds 10 degrees."""
    errors: dict[str, list[np.ndarray]] = {"first": [], "upright": []}
    subsets: list[list[str]] = []
    for chunk in chunks(conversion):
        scheme = scheme_by_name(chunk[0].scheme)
        _, rois = _labelled(network, chunk, scheme)
        made = run_passes(network, [sample.image for sample in chunk], rois, scheme)
        truth = np.array([dataset_angles(sample.rotation) for sample in chunk])
        for name, kept in errors.items():
            heads = angles_to_matrix(made[name].predicted.pose)
            cameras = [crop_to_camera(r, s.intrinsics) for r, s in zip(made[name].rois, chunk, strict=True)]
            said = np.array([dataset_angles(camera @ head) for camera, head in zip(cameras, heads, strict=True)])
            kept.append(metrics.pose_errors(said, truth))
        subsets += [sample.attributes.get("subsets", "").split() for sample in chunk]
    return {name: _by_subset(np.concatenate(rows), subsets, _mae) for name, rows in errors.items()}


def tracking_precision(network: CropPredictor, conversion: Conversion) -> dict[str, Any]:
    """Average precision of faces against ten crops around each that overlap it by less than 0.3, and error rates."""
    confidence, is_face = [], []
    size, mean_shape = network.spec.input_size, network.spec.mean_shape
    for number, chunk in enumerate(chunks(conversion)):
        faces = _Faces(chunk)
        crops, labels = tracking_crops(faces, np.arange(len(chunk)), np.array([]), mean_shape, size, seed=number)
        confidence.append(network.predict(crops).confidence)
        is_face.append(labels)
    return {FULL: tracking_figures(np.concatenate(confidence), np.concatenate(is_face))}


@dataclass(frozen=True)
class _Faces:
    """Samples as `TrackingGroups` asks a store for them."""

    samples: list[Sample]

    @property
    def landmarks(self) -> list[np.ndarray]:
        return [np.full((1, 2), np.nan) if s.landmarks is None else s.landmarks for s in self.samples]

    def image(self, index: int) -> np.ndarray:
        return self.samples[index].image

    def neighbours(self, index: int) -> np.ndarray | None:
        return self.samples[index].neighbours

    def boxes(self, index: int) -> dict[str, tuple[float, float, float, float]]:
        return dict(self.samples[index].boxes)


def chunks(conversion: Conversion) -> Iterator[list[Sample]]:
    """The faces of a split; ValueError when there is none."""
    faces = (sample for sample in conversion.cut(conversion.samples()) if sample.outline is not None)
    if not (chunk := list(islice(faces, CHUNK))):
        raise ValueError(f"{conversion.found.root} holds no face of {conversion.found.dataset.name} {conversion.split}")
    while chunk:
        yield chunk
        chunk = list(islice(faces, CHUNK))


def _labelled(network: CropPredictor, chunk: list[Sample], scheme: LandmarkScheme) -> tuple[np.ndarray, list[ROI]]:
    """(n, M, 2) labels and the regions that they ask for; ValueError for a scheme that is not to be had from the
    network's."""
    target = np.stack([sample.landmarks for sample in chunk])
    shape = convert(network.spec.mean_shape, scheme_by_name(network.spec.scheme), scheme)
    return target, [ROI.from_landmarks(filled(face, shape)) for face in target]


def _by_subset(
    errors: np.ndarray, subsets: list[list[str]], figures: Callable[[np.ndarray], dict[str, float]]
) -> dict[str, dict[str, float]]:
    names = sorted({name for own in subsets for name in own})
    report = {FULL: {"faces": len(errors), **figures(errors)}}
    for name in names:
        inside = np.array([name in own for own in subsets])
        report[name] = {"faces": int(inside.sum()), **figures(errors[inside])}
    return report


def _nme(errors: np.ndarray) -> dict[str, float]:
    return {
        "nme": float(errors.mean()),
        "failure_rate_10": metrics.failure_rate(errors),
        "auc_10": metrics.area_under_ced(errors),
    }


def _mae(errors: np.ndarray) -> dict[str, float]:
    pitch, yaw, roll = map(float, errors.mean(axis=0))
    faces = errors.mean(axis=1)
    rate = float((faces > POSE_FAILURE).mean())
    return {"yaw": yaw, "pitch": pitch, "roll": roll, "mae": float(faces.mean()), "failure_rate_10": rate}
