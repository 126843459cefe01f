"""Landmarks, pose and tracking on the photographs of a split, by subset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from atpn.evaluate.reports import pose_distribution
from atpn.evaluate.tracking import tracking_crops, tracking_report
from edge_runtime.geometry import angles_to_matrix, crop_to_camera
from edge_runtime.landmarks import LandmarkScheme, convert

CHUNK = 64
"""Photographs in memory at a time."""
FULL_SIZE = CutoutConfig(face_size=1 << 20, context=2.5)
"""Faces with their surroundings, not scaled down."""
WITH_CONTEXT = CutoutConfig(face_size=1 << 20, context=5.0, min_size=60.0)
"""Context for negatives, and faces from 60 pixels (thesis, section 3.3.2)."""


UNOCCLUDED, OCCLUDED = "unoccluded", "externally occluded"
"""Rows of visible landmarks, and of covered ones whose place is labeled."""


@dataclass(frozen=True)
class Measure:
    """What a face's mean landmark error is divided by, and what is reported of it."""

    size_of: Callable[[np.ndarray, LandmarkScheme], np.ndarray]
    """(n,) sizes of (n, M, 2) labels."""
    threshold: float = metrics.FAILURE
    """Mean error above which a face is a failure, and to which the area under the cumulative distribution goes."""
    name: str = ""
    """Distinguishes the figures of several measures: `nme_box`, `auc_box_7`."""
    failures: bool = True
    """Report the failure rate."""

    def summarize(self, errors: np.ndarray) -> dict[str, float]:
        """Return NME, failure rate, and area of (n,) mean errors; the threshold in percent is part of the names."""
        name, percent = f"_{self.name}" if self.name else "", round(100 * self.threshold)
        rate = {f"failure_rate{name}_{percent}": metrics.failure_rate(errors, self.threshold)} if self.failures else {}
        area = metrics.area_under_ced(errors, self.threshold)
        return {f"nme{name}": float(errors.mean()), **rate, f"auc{name}_{percent}": area}


def evaluate_landmarks(
    network: CropPredictor,
    conversion: Conversion,
    measures: Sequence[Measure],
    by_occlusion: bool = False,
    change: Callable[[Sample], Sample] | None = None,
) -> dict[str, Any]:
    """Return the number of faces and the measures' figures, by pass and subset.

    "first" crops by the labels at roll 0, as the thesis does, "upright" by the first pass' landmarks. Landmarks without
    a label are ignored. `by_occlusion` adds rows of the visible landmarks alone and of the covered ones, each over the
    faces that have some. `change` is applied to each face before it is cropped.
    """

    def errors(chunk: list[Sample], scheme: LandmarkScheme, target: np.ndarray, result: Pass) -> dict[str, np.ndarray]:
        sizes = [measure.size_of(target, scheme) for measure in measures]
        points = np.stack([metrics.point_errors(result.landmarks, target, size) for size in sizes], axis=1)  # (n, K, N)
        rows = {FULL: points}
        if by_occlusion:
            visible = np.stack([sample.visibility for sample in chunk])[:, None]
            rows |= {UNOCCLUDED: np.where(visible, points, np.nan), OCCLUDED: np.where(visible, np.nan, points)}
        return {name: _mean_of_known(values) for name, values in rows.items()}

    def summarize(faces: np.ndarray) -> dict[str, float]:
        return {key: value for k, m in enumerate(measures) for key, value in m.summarize(faces[:, k]).items()}

    return _evaluate(network, conversion, errors, summarize, change)


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """Return the means of (..., N) values over those that are not NaN; NaN if all are."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=-1) / known.sum(axis=-1)


def evaluate_pose(network: CropPredictor, conversion: Conversion) -> dict[str, Any]:
    """Return errors in degrees of the dataset's own angles, by pass and subset.

    Mean absolute ones, failure rate, and cumulative distribution (`reports.pose_distribution`).
    """

    def errors(chunk: list[Sample], scheme: LandmarkScheme, target: np.ndarray, result: Pass) -> dict[str, np.ndarray]:
        heads = angles_to_matrix(result.predicted.pose)
        cameras = [crop_to_camera(roi, sample.intrinsics) for roi, sample in zip(result.rois, chunk, strict=True)]
        predictions = [dataset_angles(camera @ head) for camera, head in zip(cameras, heads, strict=True)]
        ground_truth = [dataset_angles(sample.rotation) for sample in chunk]
        return {FULL: metrics.pose_errors(np.array(predictions), np.array(ground_truth))}

    return _evaluate(network, conversion, errors, _mae)


def _evaluate(
    network: CropPredictor,
    conversion: Conversion,
    errors_of: Callable[[list[Sample], LandmarkScheme, np.ndarray, Pass], dict[str, np.ndarray]],
    summarize: Callable[[np.ndarray], dict[str, Any]],
    change: Callable[[Sample], Sample] | None = None,
) -> dict[str, Any]:
    """Summarize errors by pass and subset; ValueError if the network's scheme does not convert to the labels'.

    `errors_of` returns (n, ...) errors of a chunk's faces by row: `FULL`, which is split by subset, and others.
    """
    errors: dict[str, list[dict[str, np.ndarray]]] = {"first": [], "upright": []}
    subsets: list[list[str]] = []
    for chunk in chunks(conversion):
        chunk = chunk if change is None else [change(sample) for sample in chunk]
        scheme = chunk[0].scheme
        target = np.stack([sample.landmarks for sample in chunk])
        shape = convert(network.spec.mean_shape, scheme_of(network), scheme)
        rois = [region_of(network, filled(face, shape)) for face in target]
        passes = run_passes(network, [sample.image for sample in chunk], rois, scheme)
        for name, kept in errors.items():
            kept.append(errors_of(chunk, scheme, target, passes[name]))
        subsets += [sample.attributes.get("subsets", "").split() for sample in chunk]
    return {name: _by_subset(_joined(parts), subsets, summarize) for name, parts in errors.items()}


def tracking_precision(network: CropPredictor, conversion: Conversion) -> dict[str, Any]:
    """Return average precision, error rates, and the precision-recall curve of faces against other crops.

    These are ten around each face with an IoU below 0.3.
    """
    confidence, is_face = [], []
    size, mean_shape = network.spec.input_size, network.spec.mean_shape
    for number, chunk in enumerate(chunks(conversion)):
        faces = _Faces(chunk)
        crops, labels = tracking_crops(faces, np.arange(len(chunk)), np.array([]), mean_shape, size, seed=number)
        confidence.append(network.predict(crops).confidence)
        is_face.append(labels)
    return {FULL: tracking_report(np.concatenate(confidence), np.concatenate(is_face))}


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


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_subset(
    errors: dict[str, np.ndarray], subsets: list[list[str]], summarize: Callable[[np.ndarray], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    rows = {FULL: errors[FULL]}
    for name in sorted({name for own in subsets for name in own}):
        rows[name] = errors[FULL][np.array([name in own for own in subsets])]
    for name, values in errors.items():
        known = ~np.isnan(values).reshape(len(values), -1).any(axis=1)
        if name != FULL and known.any():
            rows[name] = values[known]
    return {name: {"faces": len(values), **summarize(values)} for name, values in rows.items()}


def _mae(errors: np.ndarray) -> dict[str, Any]:
    pitch, yaw, roll = map(float, errors.mean(axis=0))
    return {"yaw": yaw, "pitch": pitch, "roll": roll, "mae": float(errors.mean()), **pose_distribution(errors)}
