"""Landmarks, pose and tracking on the photographs of a split, by subset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from atpn.data.converting import Conversion, CutoutConfig
from atpn.data.crops import filled
from atpn.data.readers.w300lp import dataset_angles
from atpn.data.sample import Sample
from atpn.evaluate import metrics
from atpn.evaluate.backend import CropPredictor, scheme_of
from atpn.evaluate.passes import Pass, region_of, run_passes
from atpn.evaluate.protocols.published import FULL
from atpn.evaluate.tracking import tracking_crops, tracking_metrics
from edge_runtime.geometry import angles_to_matrix, crop_to_camera
from edge_runtime.landmarks import LandmarkScheme, convert

CHUNK = 64
"""Photographs in memory at a time."""
FULL_SIZE = CutoutConfig(face_size=1 << 20, context=2.5)
"""Faces with their surroundings, not scaled down."""
WITH_CONTEXT = CutoutConfig(face_size=1 << 20, context=5.0, min_size=60.0)
"""Context for negatives, and faces from 60 pixels (thesis, section 3.3.2)."""
POSE_FAILURE = 10.0
"""Degrees (thesis, table 3.6)."""


def evaluate_landmarks(
    network: CropPredictor, conversion: Conversion, size_of: Callable[[np.ndarray, LandmarkScheme], np.ndarray]
) -> dict[str, Any]:
    """Return faces, NME, failure rate and AUC at a tenth, by pass and subset.

    Errors are divided by the sizes that `size_of` gives for (n, M, 2) labels. "first" crops by the labels at roll 0, as
    the thesis does, "upright" by the first pass' landmarks. Landmarks without a label are ignored.
    """

    def errors(chunk: list[Sample], scheme: LandmarkScheme, target: np.ndarray, result: Pass) -> np.ndarray:
        return np.nanmean(metrics.point_errors(result.landmarks, target, size_of(target, scheme)), axis=1)

    return _evaluate(network, conversion, errors, _nme)


def evaluate_pose(network: CropPredictor, conversion: Conversion) -> dict[str, Any]:
    """Return mean absolute errors in degrees of the dataset's own angles, and the failure rate, by pass and subset."""

    def errors(chunk: list[Sample], scheme: LandmarkScheme, target: np.ndarray, result: Pass) -> np.ndarray:
        heads = angles_to_matrix(result.predicted.pose)
        cameras = [crop_to_camera(roi, sample.intrinsics) for roi, sample in zip(result.rois, chunk, strict=True)]
        predictions = [dataset_angles(camera @ head) for camera, head in zip(cameras, heads, strict=True)]
        ground_truth = [dataset_angles(sample.rotation) for sample in chunk]
        return metrics.pose_errors(np.array(predictions), np.array(ground_truth))

    return _evaluate(network, conversion, errors, _mae)


def _evaluate(
    network: CropPredictor,
    conversion: Conversion,
    errors_of: Callable[[list[Sample], LandmarkScheme, np.ndarray, Pass], np.ndarray],
    summarize: Callable[[np.ndarray], dict[str, float]],
) -> dict[str, Any]:
    """Summarize errors by pass and subset; ValueError if the network's scheme does not convert to the labels'."""
    errors: dict[str, list[np.ndarray]] = {"first": [], "upright": []}
    subsets: list[list[str]] = []
    for chunk in chunks(conversion):
        scheme = chunk[0].scheme
        target = np.stack([sample.landmarks for sample in chunk])
        shape = convert(network.spec.mean_shape, scheme_of(network), scheme)
        rois = [region_of(network, filled(face, shape)) for face in target]
        passes = run_passes(network, [sample.image for sample in chunk], rois, scheme)
        for name, kept in errors.items():
            kept.append(errors_of(chunk, scheme, target, passes[name]))
        subsets += [sample.attributes.get("subsets", "").split() for sample in chunk]
    return {name: _by_subset(np.concatenate(rows), subsets, summarize) for name, rows in errors.items()}


def tracking_precision(network: CropPredictor, conversion: Conversion) -> dict[str, Any]:
    """Return average precision and error rates of faces against ten crops around each with an IoU below 0.3."""
    confidence, is_face = [], []
    size, mean_shape = network.spec.input_size, network.spec.mean_shape
    for number, chunk in enumerate(chunks(conversion)):
        faces = _Faces(chunk)
        crops, labels = tracking_crops(faces, np.arange(len(chunk)), np.array([]), mean_shape, size, seed=number)
        confidence.append(network.predict(crops).confidence)
        is_face.append(labels)
    return {FULL: tracking_metrics(np.concatenate(confidence), np.concatenate(is_face))}


@dataclass(frozen=True)
class _Faces:
    """Samples with the interface of `SampleStore` that `TrackingGroups` needs."""

    samples: list[Sample]

    @property
    def landmarks(self) -> list[np.ndarray]:
        return [np.full((1, 2), np.nan) if s.landmarks is None else s.landmarks for s in self.samples]

    def image(self, index: int) -> np.ndarray:
        return self.samples[index].image

    def neighbors(self, index: int) -> np.ndarray | None:
        return self.samples[index].neighbors

    def boxes(self, index: int) -> dict[str, tuple[float, float, float, float]]:
        return dict(self.samples[index].boxes)


def chunks(conversion: Conversion) -> Iterator[list[Sample]]:
    """Yield the faces of a split in lists of `CHUNK`; ValueError if there are none."""
    faces = (sample for sample in conversion.cut(conversion.samples()) if sample.outline is not None)
    if not (chunk := list(islice(faces, CHUNK))):
        raise ValueError(f"{conversion.found.root} holds no face of {conversion.found.dataset.name} {conversion.split}")
    while chunk:
        yield chunk
        chunk = list(islice(faces, CHUNK))


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
