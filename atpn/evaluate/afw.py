"""Metrics of a network on AFW's real faces, which are used for evaluation only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.afw import Photo, photos_to_samples
from atpn.data.sample import Sample
from atpn.evaluate import metrics
from atpn.evaluate.backend import CropPredictor, scheme_of
from atpn.evaluate.detectors import detect_rois
from atpn.evaluate.overlay import write_overlay
from atpn.evaluate.passes import Pass, extract_crops, run_passes
from atpn.evaluate.reliability import calibration, reliability_report
from atpn.evaluate.reports import landmark_report
from atpn.evaluate.tracking import photograph_crops, tracking_report
from edge_runtime.detector import Detector
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import IBUG_68, convert


def evaluate_afw(
    network: CropPredictor,
    photos: list[Photo],
    detector: Detector | None = None,
    overlay: Path | None = None,
    heads: bool = True,
) -> dict[str, Any]:
    """Evaluate 68 converted landmarks on real faces, from the labels' ROIs and, with `detector`, from detected ones.

    The three passes are those of `passes.PASSES`; reliability and yaw bins are of "upright". `heads` False skips pose
    and tracking.
    """
    samples = photos_to_samples(photos)
    images, target = [sample.image for sample in samples], np.stack([sample.landmarks for sample in samples])
    passes = run_passes(network, images, [ROI.from_landmarks(face) for face in target], IBUG_68)
    report: dict[str, Any] = {"faces": len(samples)}
    report |= {name: landmark_report(result.landmarks, target, IBUG_68) for name, result in passes.items()}
    upright = passes["upright"]
    errors = metrics.point_errors(upright.landmarks, target, IBUG_68.inter_ocular(target)).mean(axis=1)
    if heads:
        yaw = upright.predicted.pose[:, 1]
        over_rectangle = metrics.point_errors(upright.landmarks, target, metrics.rectangle_size(target)).mean(axis=1)
        report["nme_by_predicted_yaw"] = metrics.per_yaw_bin(errors, yaw)
        report["nme_rectangle_by_predicted_yaw"] = metrics.per_yaw_bin(over_rectangle, yaw)
        crops, is_face = photograph_crops(samples, network.spec.input_size)
        report["tracking"] = tracking_report(network.predict(crops).confidence, is_face)
    if upright.predicted.uncertainty.any():
        report["uncertainty"] = _uncertainty(scheme_of(network), upright, target)
    if detector is not None:
        report["detector"] = _with_detector(network, samples, detector, passes)
    if overlay is not None:
        crops_2x = extract_crops(images, upright.rois, 2 * network.spec.input_size)
        points = [
            np.stack([roi.to_crop(p) for roi, p in zip(upright.rois, shape, strict=True)])
            for shape in (upright.landmarks, target)
        ]
        write_overlay(overlay / "afw", crops_2x, points[0], points[1], errors, IBUG_68)
    return report


def _with_detector(
    network: CropPredictor, samples: list[Sample], detector: Detector, passes: dict[str, Pass]
) -> dict[str, Any]:
    """Return metrics from the detector's ROIs.

    Missed faces are left out. NME stands beside that of the same faces from the labels' ROIs; `ratio` is the cost of
    the detector.
    """
    rois = detect_rois(samples, detector)
    detected = np.array([roi is not None for roi in rois])
    if not detected.any():
        raise ValueError("the detector found none of AFW's faces; check that the images belong to the labels")
    images = [sample.image for sample, roi in zip(samples, rois, strict=True) if roi is not None]
    target = np.stack([sample.landmarks for sample in samples])
    detector_passes = run_passes(network, images, [roi for roi in rois if roi is not None], IBUG_68)
    report: dict[str, Any] = {"found": int(detected.sum()), "missed": int((~detected).sum()), "same_faces": {}}
    for name, result in detector_passes.items():
        report[name] = landmark_report(result.landmarks, target[detected], IBUG_68)
        inter_ocular = IBUG_68.inter_ocular(target[detected])
        ground_truth = float(
            metrics.point_errors(passes[name].landmarks[detected], target[detected], inter_ocular).mean()
        )
        report["same_faces"][name] = {"nme_ground_truth_box": ground_truth, "ratio": report[name]["nme"] / ground_truth}
    return report


def _uncertainty(scheme: str, upright: Pass, target: np.ndarray) -> dict[str, Any]:
    """Return reliability in crop widths.

    Sigmas cannot include the constant offsets between two labeling rules: `scale_without_offsets` is the scale after
    each point's median offset is removed.
    """
    sigma = convert(upright.predicted.uncertainty[..., None], scheme, IBUG_68)[..., 0]
    sizes = np.array([roi.size for roi in upright.rois])[:, None]
    report = reliability_report(np.linalg.norm(upright.landmarks - target, axis=-1) / sizes, sigma, IBUG_68)
    errors = metrics.face_frame_errors(upright.landmarks, target, IBUG_68)
    errors = (errors - np.median(errors, axis=0)) * IBUG_68.inter_ocular(target)[:, None, None]
    without = calibration(np.linalg.norm(errors, axis=-1) / sizes, sigma)
    return {**report, "scale_without_offsets": without["scale"]}
