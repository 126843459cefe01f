"""Turned stills: whether a turned face is reported, and whether its landmarks are right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from benchmarks.detector.detectors import SearchResult
from benchmarks.detector.images import LabeledImage, eye_distance, is_measurable
from benchmarks.results import Metric, mean_metric
from edge_runtime.backends import Backend
from edge_runtime.geometry import extract_crop
from edge_runtime.landmarks import SCHEMES, LandmarkScheme, convert

TURNS = tuple(range(0, 360, 30))
"""Turns of whole pictures, degrees clockwise."""
MAX_ERROR = 0.2
"""Maximum mean landmark error, in outer eye corners' distances, for a face to be right."""
SAME_PLACE = 0.5
"""Maximum distance of the centers of reported and labeled landmarks, in the face's longer side, to be one face."""
OUTCOMES = ("right", "wrong", "nothing")


def outcomes(
    image: LabeledImage, scheme: LandmarkScheme, reported: Sequence[np.ndarray], own: LandmarkScheme
) -> list[str]:
    """Return the outcome of each labeled face that can be measured.

    Args:
        image: The picture.
        scheme: Scheme of its labels.
        reported: (N, 2) landmarks of each reported face, pixels.
        own: Scheme of these.
    """
    return [
        _outcome(labels, scheme, [convert(points, own, scheme) for points in reported])
        for labels in image.landmarks
        if is_measurable(labels, scheme)
    ]


def _outcome(labels: np.ndarray, scheme: LandmarkScheme, reported: Sequence[np.ndarray]) -> str:
    reach = SAME_PLACE * float(np.ptp(labels, axis=0).max())
    here = [points for points in reported if np.hypot(*(points.mean(axis=0) - labels.mean(axis=0))) <= reach]
    if not here:
        return "nothing"
    errors = [float(np.hypot(*(points - labels).T).mean()) for points in here]
    return "right" if min(errors) < MAX_ERROR * eye_distance(labels, scheme) else "wrong"


def confirmed_crops(image: LabeledImage, network: Backend) -> list[list[np.ndarray]]:
    """Run the network once on each labeled face's ROI at roll 0; return its landmarks, or nothing if it rejects it."""
    spec, rgb = network.spec, cv2.cvtColor(image.frame, cv2.COLOR_BGR2RGB)
    found = []
    for roi in image.rois:
        outputs = network.run(extract_crop(rgb, roi, spec.input_size))
        confident = outputs["confidence"][0] >= spec.track_threshold
        certain = outputs["uncertainty"].mean() <= spec.uncertainty_threshold
        found.append([roi.to_frame(outputs["landmarks"])] if confident and certain else [])
    return found


def crop_outcomes(images: Sequence[LabeledImage], scheme: LandmarkScheme, network: Backend) -> list[str]:
    """Return the outcomes of the tracking network alone, from each labeled face's ROI at roll 0."""
    own = scheme_of(network)
    return [
        outcome
        for image in images
        for labels, reported in zip(image.landmarks, confirmed_crops(image, network), strict=True)
        for outcome in outcomes(LabeledImage(image.frame, [labels]), scheme, reported, own)
    ]


def chain_outcomes(
    images: Sequence[LabeledImage], scheme: LandmarkScheme, results: Sequence[SearchResult], own: LandmarkScheme
) -> list[str]:
    """Return the outcomes of whole searches in the loop."""
    return [
        outcome
        for image, result in zip(images, results, strict=True)
        for outcome in outcomes(image, scheme, [face.landmarks for face in result.faces], own)
    ]


def scheme_of(network: Backend) -> LandmarkScheme:
    """Return the scheme of a network's landmarks; ValueError for one without a conversion to the labels'."""
    if network.spec.scheme not in SCHEMES:
        raise ValueError(
            f"network {network.spec.name!r} predicts landmarks of {network.spec.scheme!r}, expected one of "
            f"{', '.join(SCHEMES)}, as the labels; give another file by --network"
        )
    return SCHEMES[network.spec.scheme]


def compute_metrics(table: str, name: str, by_turn: Mapping[int, Sequence[str]]) -> Iterator[Metric]:
    """Yield the fraction of each outcome by turn, and over all turns."""
    columns = {f"{degrees}°": found for degrees, found in by_turn.items()}
    columns["all"] = [outcome for found in by_turn.values() for outcome in found]
    for outcome in OUTCOMES:
        for column, found in columns.items():
            values = 100.0 * np.array([each == outcome for each in found], float)
            yield mean_metric(table, f"{name}: {outcome}", column, values, "%", outcome != "right")
