"""Figures of a network on AFW's real faces, which are only ever measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.afw import Photo
from atpn.data.scenes import NEGATIVE_IOU, negative_roi
from atpn.model import ATPN
from atpn.train import metrics
from atpn.train.inference import Predictions, predict
from atpn.train.overlay import write_overlay
from atpn.train.reliability import calibration, reliability_report
from atpn.train.reports import landmark_report
from atpn.train.tracking import tracking_figures
from edge_runtime.detector import Detector
from edge_runtime.geometry import ROI, extract_crop, upright_roll
from edge_runtime.landmarks import IBUG_68, convert, scheme_by_name
from edge_runtime.tracker import REFINEMENTS

DETECTION_IOU = 0.3
"""A detector's region overlapping a face's true region this much has found it; below it the crop is background."""
NEGATIVES = 10
"""Per face of a photograph, as in training (thesis, section 3.3.2)."""
PASSES = ("first", "upright", "settled")
"""Which run of the network: on the given region (roll 0), on the upright region that the first run's landmarks ask for,
and on the last one that the tracker makes at a detection."""


@dataclass(frozen=True)
class Pass:
    """One run of the network over all faces."""

    rois: list[ROI]
    predicted: Predictions
    landmarks: np.ndarray
    """(n, 68, 2) pixels."""


def evaluate_afw(
    model: ATPN,
    photos: list[Photo],
    detector: Detector | None = None,
    overlay: Path | None = None,
    heads: bool = True,
) -> dict[str, Any]:
    """68 converted landmarks on real faces from the labels' own regions and, with `detector`, from its.

    The report's three passes are explained at `PASSES`; reliability and bins of yaw are those of "upright".
    `heads` False leaves out what the pose and tracking branches say.
    """
    found = [(photo, face) for photo in photos for face in photo.faces]
    images, target = [photo.image for photo, _ in found], np.stack([face for _, face in found])
    passes = run_passes(model, images, [ROI.from_landmarks(face) for face in target])
    report: dict[str, Any] = {"faces": len(found)}
    report |= {name: landmark_report(made.landmarks, target, IBUG_68) for name, made in passes.items()}
    upright = passes["upright"]
    errors = metrics.point_errors(upright.landmarks, target, IBUG_68.inter_ocular(target)).mean(axis=1)
    if heads:
        yaw = upright.predicted.pose[:, 1]
        over_rectangle = metrics.point_errors(upright.landmarks, target, metrics.rectangle_size(target)).mean(axis=1)
        report["nme_by_predicted_yaw"] = metrics.per_yaw_bin(errors, yaw)
        report["nme_rectangle_by_predicted_yaw"] = metrics.per_yaw_bin(over_rectangle, yaw)
        report["tracking"] = _tracking(model, photos)
    if model.config.uncertainty:
        report["uncertainty"] = _uncertainty(model, upright, target)
    if detector is not None:
        report["detector"] = _with_detector(model, photos, detector, passes, target)
    if overlay is not None:
        shown = _crops(images, upright.rois, 2 * model.config.input_size)
        points = [
            np.stack([roi.to_crop(p) for roi, p in zip(upright.rois, shape, strict=True)])
            for shape in (upright.landmarks, target)
        ]
        write_overlay(overlay / "afw", shown, points[0], points[1], errors, IBUG_68)
    return report


def run_passes(model: ATPN, images: list[np.ndarray], rois: list[ROI]) -> dict[str, Pass]:
    """The network on each face's region, then on the regions that its own landmarks ask for, as the tracker does."""
    scheme, mean_shape = scheme_by_name(model.config.scheme), model.mean_shape.numpy()
    passes = []
    for _ in range(1 + REFINEMENTS):
        predicted = predict(model, _crops(images, rois, model.config.input_size))
        frame = np.stack([roi.to_frame(points) for roi, points in zip(rois, predicted.landmarks, strict=True)])
        passes.append(Pass(rois, predicted, convert(frame, scheme, IBUG_68)))
        rois = [ROI.from_landmarks(points, upright_roll(points, mean_shape)) for points in frame]
    return dict(zip(PASSES, (passes[0], passes[1], passes[-1]), strict=True))


def _with_detector(
    model: ATPN, photos: list[Photo], detector: Detector, passes: dict[str, Pass], target: np.ndarray
) -> dict[str, Any]:
    """Figures from the detector's regions. A face that it misses has none: NME stands beside that of the same faces
    from the labels' regions, and their `ratio` is what the detector costs."""
    rois = _detected(photos, detector)
    held = np.array([roi is not None for roi in rois])
    if not held.any():
        raise ValueError("the detector found none of AFW's faces; are the images those of the labels?")
    images = [photo.image for photo in photos for _ in photo.faces]
    made = run_passes(model, [images[i] for i in np.flatnonzero(held)], [roi for roi in rois if roi is not None])
    report: dict[str, Any] = {"found": int(held.sum()), "missed": int((~held).sum()), "same_faces": {}}
    for name, result in made.items():
        report[name] = landmark_report(result.landmarks, target[held], IBUG_68)
        inter_ocular = IBUG_68.inter_ocular(target[held])
        truth = float(metrics.point_errors(passes[name].landmarks[held], target[held], inter_ocular).mean())
        report["same_faces"][name] = {"nme_ground_truth_box": truth, "ratio": report[name]["nme"] / truth}
    return report


def _uncertainty(model: ATPN, made: Pass, target: np.ndarray) -> dict[str, Any]:
    """Reliability in crop widths. What a sigma learned from one labelling rule cannot know is the constant offset to
    another rule's points: `scale_without_offsets` is the scale when each point's median offset is taken out."""
    sigma = convert(made.predicted.uncertainty[..., None], scheme_by_name(model.config.scheme), IBUG_68)[..., 0]
    sizes = np.array([roi.size for roi in made.rois])[:, None]
    report = reliability_report(np.linalg.norm(made.landmarks - target, axis=-1) / sizes, sigma, IBUG_68)
    errors = metrics.face_frame_errors(made.landmarks, target, IBUG_68)
    errors = (errors - np.median(errors, axis=0)) * IBUG_68.inter_ocular(target)[:, None, None]
    without = calibration(np.linalg.norm(errors, axis=-1) / sizes, sigma)
    return {**report, "scale_without_offsets": without["scale"]}


def _tracking(model: ATPN, photos: list[Photo]) -> dict[str, float]:
    """Confidence on true regions (roll 0, no jitter) against up to ten random regions per face, the thesis' number.

    Regions that meet another face of the photograph are left out, so there are somewhat fewer; the counts tell.
    """
    rng = np.random.default_rng(0)
    images, rois, is_face = [], [], []
    for photo in photos:
        truths = [ROI.from_landmarks(face) for face in photo.faces]
        for truth in truths:
            candidates = [truth, *(negative_roi(truth, rng) for _ in range(NEGATIVES))]
            for k, roi in enumerate(candidates):
                if k == 0 or all(roi.iou(other) < NEGATIVE_IOU for other in truths):
                    images.append(photo.image)
                    rois.append(roi)
                    is_face.append(k == 0)
    confidence = predict(model, _crops(images, rois, model.config.input_size)).confidence
    return tracking_figures(confidence, np.array(is_face))


def _detected(photos: list[Photo], detector: Detector) -> list[ROI | None]:
    """The detector's best-fitting region for each face of each photograph, in order; None for a miss."""
    rois: list[ROI | None] = []
    for photo in photos:
        candidates = detector.detect(np.ascontiguousarray(photo.image[:, :, ::-1]))
        for face in photo.faces:
            truth = ROI.from_landmarks(face)
            best = max(candidates, key=truth.iou, default=None)
            rois.append(best if best is not None and truth.iou(best) >= DETECTION_IOU else None)
    return rois


def _crops(images: list[np.ndarray], rois: list[ROI], size: int) -> np.ndarray:
    return np.stack([extract_crop(image, roi, size) for image, roi in zip(images, rois, strict=True)])
