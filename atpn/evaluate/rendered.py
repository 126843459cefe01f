"""Metrics of a network on renders that training has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.store import SampleStore
from atpn.evaluate import metrics
from atpn.evaluate.backend import CropPredictor, scheme_of
from atpn.evaluate.crops import validation_batch
from atpn.evaluate.overlay import write_overlay
from atpn.evaluate.refusal import refusal_crops, refusal_report
from atpn.evaluate.reliability import reliability_report
from atpn.evaluate.reports import landmark_report, pose_report
from atpn.evaluate.tracking import tracking_crops, tracking_report

TRACKED_FACES = 200
"""Faces for tracking, with ten negatives each."""


def evaluate_rendered(
    network: CropPredictor, store: SampleStore, limit: int, overlay: Path | None = None, heads: bool = True
) -> dict[str, Any]:
    """Evaluate the first `limit` renders. Landmarks and pose: upright crops by the rule.

    Tracking: the first 200 faces with the ROI errors of a tracked head (see `tracking_crops`), ten negatives each; and
    of all of them, what is refused (see `refusal_crops`).
    `heads` False skips pose and tracking.
    """
    scheme, size, mean_shape = store.scheme, network.spec.input_size, network.spec.mean_shape
    if scheme_of(network) != scheme:
        raise ValueError(f"the weights predict {network.spec.scheme}, but the data are labeled {scheme.name}")
    faces = store.faces[:limit]
    batch = validation_batch(store, faces, mean_shape, size)
    images, target, pose = (batch[key].numpy() for key in ("image", "landmarks", "pose"))
    predicted = network.predict(images)
    report = {"faces": len(faces), "landmarks": landmark_report(predicted.landmarks, target, scheme)}
    # Binned by the head's yaw to the viewing ray; over the rectangle, since the eye distance vanishes in profile.
    errors = metrics.point_errors(predicted.landmarks, target, metrics.rectangle_size(target))
    known = ~np.isnan(pose).any(axis=1)
    if known.any():
        yaw = pose[known, 1]
        report["nme_rectangle_by_yaw"] = metrics.per_yaw_bin(errors[known].mean(axis=1), yaw)
        facing = np.abs(yaw) <= np.radians(60)
        if facing.any():
            report["landmarks_yaw_60"] = landmark_report(
                predicted.landmarks[known][facing], target[known][facing], scheme
            )
        if heads:
            report["pose"] = pose_report(predicted.pose[known], pose[known])
    if predicted.uncertainty.any():
        distance = np.linalg.norm(predicted.landmarks - target, axis=-1)
        report["uncertainty"] = reliability_report(distance, predicted.uncertainty, scheme)
    if heads:
        candidates, is_face = tracking_crops(store, faces[:TRACKED_FACES], store.backgrounds, mean_shape, size)
        report["tracking"] = tracking_report(network.predict(candidates).confidence, is_face)
        report["refusal"] = refusal_report(network, refusal_crops(store, faces, mean_shape, size))
    if overlay is not None:
        write_overlay(overlay / "rendered", images, predicted.landmarks, target, errors.mean(axis=1), scheme)
    return report
