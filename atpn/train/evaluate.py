"""`python -m atpn evaluate`: the figures of a checkpoint on held-out renders and on AFW's real faces.

Real faces are only measured here: no training code sees them, and no checkpoint is chosen by them.
"""

from __future__ import annotations

import json
import logging
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch

from atpn.data.afw import Photo, read_afw
from atpn.data.crops import NO_JITTER, cut_crop, jittered_roi
from atpn.data.scenes import NEGATIVE_IOU, negative_roi
from atpn.data.store import SampleStore
from atpn.model import ATPN, load_checkpoint
from atpn.model.checkpoint import weights_sha256
from atpn.train import metrics
from atpn.train.inference import Predictions, predict
from atpn.train.overlay import write_overlay
from atpn.train.tracking import tracking_crops, tracking_figures
from edge_runtime.detector import CascadeDetector
from edge_runtime.files import write_atomically
from edge_runtime.geometry import ROI, extract_crop, upright_roll
from edge_runtime.landmarks import IBUG_68, LandmarkScheme, convert, scheme_by_name

log = logging.getLogger(__name__)

DETECTION_IOU = 0.3
"""A detector's region overlapping a face's true region this much has found it; below it the crop is background."""
NEGATIVES = 10
"""Per face of a photograph, as in training (thesis, section 3.3.2)."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure a checkpoint. Give --data, --afw or both."""

    weights: Path
    """Checkpoint (.safetensors, with its .json beside it)."""
    data: Path | None = None
    """Folder of held-out shards that training has not seen."""
    afw: Path | None = None
    """Folder with AFW's labels.json and images."""
    boxes: Literal["ground-truth", "detector"] = "ground-truth"
    """Where AFW's regions come from. True boxes flatter: a device has a detector's."""
    limit: int = 1000
    """Held-out renders to measure, at most."""
    out: Path | None = None
    """JSON report; printed as a table in any case."""
    overlay: Path | None = None
    """Folder for pictures: predictions green, labels red, file names sorted by error."""
    threads: int = 1

    def __post_init__(self) -> None:
        if self.data is None and self.afw is None:
            raise ValueError("nothing to measure on: give --data FOLDER, --afw FOLDER or both")
        if self.limit < 1:
            raise ValueError(f"--limit must be at least 1, got {self.limit}")


def run(config: EvaluateConfig) -> dict[str, Any]:
    """The report, also printed and (with `out`) written."""
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(config.threads)
    model, description = load_checkpoint(config.weights)
    report: dict[str, Any] = {
        "weights": config.weights.name,
        "weights_sha256": weights_sha256(config.weights),
        "training": description,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
    }
    if config.data is not None:
        report["rendered"] = evaluate_rendered(model, SampleStore.read(config.data), config.limit, config.overlay)
    if config.afw is not None:
        report["afw"] = evaluate_afw(model, list(read_afw(config.afw)), config.boxes, config.overlay)
    if config.out is not None:
        write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    for name in ("rendered", "afw"):
        if name in report:
            print(_table(name, report[name]))
    return report


def evaluate_rendered(model: ATPN, store: SampleStore, limit: int, overlay: Path | None = None) -> dict[str, Any]:
    """Figures on the first `limit` renders. Landmarks and pose: crops by the rule, upright.

    Tracking: the first 200 faces, each off the rule by what a followed head moves between two frames, against ten
    negatives each, with the store's backgrounds (see `tracking_crops`).
    """
    scheme, size, mean_shape = store.scheme, model.config.input_size, model.mean_shape.numpy()
    _check_scheme(model, scheme)
    faces = store.faces[:limit]
    rng = np.random.default_rng(0)
    rois = [jittered_roi(store.landmarks[i], mean_shape, NO_JITTER, rng) for i in faces]
    crops = [cut_crop(store[int(i)], roi, size) for i, roi in zip(faces, rois, strict=True)]
    images = np.stack([crop.image for crop in crops])
    target, pose = np.stack([crop.landmarks for crop in crops]), np.stack([crop.pose for crop in crops])
    predicted = predict(model, images)
    report = {"faces": len(faces), "landmarks": landmark_report(predicted.landmarks, target, scheme)}
    # Binned by the head's yaw to the viewing ray; over the rectangle, since the eye distance vanishes in profile.
    errors = metrics.point_errors(predicted.landmarks, target, metrics.rectangle_size(target))
    known = ~np.isnan(pose).any(axis=1)
    if known.any():
        yaw = pose[known, 1]
        report["nme_rectangle_by_yaw"] = metrics.per_yaw_bin(errors[known].mean(axis=1), yaw)
        frontal = np.abs(yaw) <= np.radians(60)
        if frontal.any():
            report["landmarks_yaw_60"] = landmark_report(
                predicted.landmarks[known][frontal], target[known][frontal], scheme
            )
        report["pose"] = pose_report(predicted.pose[known], pose[known])
    if model.config.uncertainty:
        distance = np.linalg.norm(predicted.landmarks - target, axis=-1)
        report["uncertainty"] = metrics.calibration(distance, predicted.uncertainty)
    candidates, is_face = tracking_crops(store, faces[:200], store.backgrounds, mean_shape, size)
    report["tracking"] = tracking_figures(predict(model, candidates).confidence, is_face)
    if overlay is not None:
        write_overlay(overlay / "rendered", images, predicted.landmarks, target, errors.mean(axis=1), scheme)
    return report


def evaluate_afw(
    model: ATPN, photos: list[Photo], boxes: Literal["ground-truth", "detector"], overlay: Path | None = None
) -> dict[str, Any]:
    """68 converted landmarks on real faces: from the first region (roll 0), and re-cropped upright as the tracker does.

    With `boxes` "detector", faces that the detector misses are counted and left out of the errors.
    """
    scheme = scheme_by_name(model.config.scheme)
    found = [(photo, face, ROI.from_landmarks(face)) for photo in photos for face in photo.faces]
    report: dict[str, Any] = {"faces": len(found), "boxes": boxes}
    if boxes == "detector":
        detected = _detected(photos)
        found = [(photo, face, roi) for (photo, face, _), roi in zip(found, detected, strict=True) if roi is not None]
        report["missed_by_detector"] = len(detected) - len(found)
        if not found:
            raise ValueError("the detector found none of AFW's faces; are the images those of the labels?")
    images = [photo.image for photo, _, _ in found]
    target = np.stack([face for _, face, _ in found])
    passes: dict[str, tuple[list[ROI], Predictions, np.ndarray]] = {}
    rois, mean_shape = [roi for _, _, roi in found], model.mean_shape.numpy()
    for name in ("first", "upright"):
        predicted = predict(model, _crops(images, rois, model.config.input_size))
        frame = np.stack([roi.to_frame(points) for roi, points in zip(rois, predicted.landmarks, strict=True)])
        converted = convert(frame, scheme, IBUG_68)
        passes[name] = rois, predicted, converted
        report[name] = landmark_report(converted, target, IBUG_68)
        rois = [ROI.from_landmarks(points, upright_roll(points, mean_shape)) for points in frame]
    rois, predicted, converted = passes["upright"]
    if model.config.uncertainty:
        sizes = np.array([roi.size for roi in rois])[:, None]
        sigma = convert((predicted.uncertainty * sizes)[..., None], scheme, IBUG_68)[..., 0]
        report["uncertainty"] = metrics.calibration(np.linalg.norm(converted - target, axis=-1), sigma)
    report["tracking"] = _afw_tracking(model, photos)
    if overlay is not None:
        errors = metrics.point_errors(converted, target, IBUG_68.inter_ocular(target)).mean(axis=1)
        size = 2 * model.config.input_size
        shown = _crops(images, rois, size)
        points = [[roi.to_crop(p) for roi, p in zip(rois, shape, strict=True)] for shape in (converted, target)]
        write_overlay(overlay / "afw", shown, np.stack(points[0]), np.stack(points[1]), errors, IBUG_68)
    return report


def landmark_report(predicted: np.ndarray, target: np.ndarray, scheme: LandmarkScheme) -> dict[str, Any]:
    """All landmark figures of (n, N, 2) shapes in one unit; errors are shares of the inter-ocular distance."""
    inter_ocular = scheme.inter_ocular(target)
    points = metrics.point_errors(predicted, target, inter_ocular)
    faces = points.mean(axis=1)
    report: dict[str, Any] = {
        "faces": len(faces),
        "nme": float(faces.mean()),
        "median": float(np.median(faces)),
        "failure_rate_10": metrics.failure_rate(faces),
        "auc_10": metrics.area_under_ced(faces),
        "nme_rectangle": float(metrics.point_errors(predicted, target, metrics.rectangle_size(target)).mean()),
        "nme_by_part": metrics.per_part(points, scheme),
        "nme_without_offsets": metrics.error_without_offsets(predicted, target, scheme),
        "convention_offsets": metrics.convention_offsets(predicted, target, scheme),
    }
    for part in metrics.OPENINGS.get(scheme.name, {}):
        opened = [metrics.openings(shape, scheme, part) / inter_ocular for shape in (predicted, target)]
        report[f"{part}_opening"] = metrics.gap_agreement(*opened)
    return report


def pose_report(predicted: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Mean absolute errors in degrees of (n, 3) poses in radians, over all and up to 60° and 90° of yaw."""
    errors, yaw = metrics.pose_errors(predicted, target), np.degrees(np.abs(target[:, 1]))
    report: dict[str, Any] = {}
    for name, inside in (("all", yaw <= 180), ("yaw_60", yaw <= 60), ("yaw_90", yaw <= 90)):
        if inside.any():
            pitch, yaw_error, roll = map(float, errors[inside].mean(axis=0))
            mean = float(errors[inside].mean())
            report[name] = {"mae": mean, "pitch": pitch, "yaw": yaw_error, "roll": roll, "count": int(inside.sum())}
    return report


def _afw_tracking(model: ATPN, photos: list[Photo]) -> dict[str, float]:
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


def _detected(photos: list[Photo]) -> list[ROI | None]:
    """The detector's best-fitting region for each face of each photograph, in order; None for a miss."""
    detector = CascadeDetector()
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


def _check_scheme(model: ATPN, scheme: LandmarkScheme) -> None:
    if model.config.scheme != scheme.name:
        raise ValueError(f"the weights predict {model.config.scheme}, but the data are labelled {scheme.name}")


def _table(name: str, report: dict[str, Any]) -> str:
    """The report's figures as aligned lines; errors of landmarks in percent."""
    lines = [f"{name}: {report['faces']} faces"]
    for key in ("landmarks", "landmarks_yaw_60", "first", "upright"):
        if key in report:
            r = report[key]
            parts = "  ".join(f"{part} {100 * value:.2f}" for part, value in r["nme_by_part"].items())
            lines.append(
                f"  {key:17} NME {100 * r['nme']:.2f} %  FR10 {100 * r['failure_rate_10']:.2f} %  "
                f"AUC10 {r['auc_10']:.3f}  rectangle {100 * r['nme_rectangle']:.2f} %  "
                f"without offsets {100 * r['nme_without_offsets']:.2f} %"
            )
            lines.append(f"  {'':17} {parts}")
            gaps = [f"{p} slope {g['slope']:.2f} corr {g['correlation']:.2f}" for p, g in _openings(r).items()]
            lines.append(f"  {'':17} {'  '.join(gaps)}")
    for yaw, entry in report.get("nme_rectangle_by_yaw", {}).items():
        lines.append(f"  |yaw| {yaw:>6}°     {100 * entry['mean']:.2f} % of the rectangle, {entry['count']} faces")
    for key, entry in report.get("pose", {}).items():
        angles = "  ".join(f"{angle} {entry[angle]:.2f}" for angle in ("pitch", "yaw", "roll"))
        lines.append(f"  pose {key:12} MAE {entry['mae']:.2f}°  {angles}  ({entry['count']} faces)")
    lines += [
        f"  {key:17} "
        + "  ".join(
            f"{figure} {value}" if isinstance(value, int) else f"{figure} {value:.4g}"
            for figure, value in report[key].items()
        )
        for key in ("tracking", "uncertainty")
        if key in report
    ]
    if "missed_by_detector" in report:
        lines.append(f"  missed by the detector: {report['missed_by_detector']}")
    return "\n".join(lines)


def _openings(report: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {key.removesuffix("_opening"): value for key, value in report.items() if key.endswith("_opening")}
