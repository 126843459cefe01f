"""`python -m atpn tufa evaluate`: a TUFA's figures on held-out renders and on AFW's real faces.

Every network sees the same crops: upright, as ATPN's first look at the labelled region asks for them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.afw import read_afw
from atpn.data.crops import NO_JITTER, cut_crop, jittered_roi
from atpn.data.store import SampleStore
from atpn.evaluate import metrics
from atpn.evaluate.backend import CheckpointBackend
from atpn.evaluate.command import library_versions
from atpn.evaluate.passes import run_passes
from atpn.model import load_checkpoint, load_network
from atpn.tufa.anchors import affine_onto, converted, shared_points
from atpn.tufa.inference import predict_planes
from atpn.tufa.network import TUFA
from atpn.weights import SHIPPED
from edge_runtime.files import write_atomically
from edge_runtime.geometry import ROI, extract_crop
from edge_runtime.landmarks import IBUG_68, SCHEMES, WFLW_98

MAX_YAW = np.radians(60)
"""Faces turned further have next to no eye distance to divide by."""
DENSE_STEP = 5
"""Every fifth of the dense points is asked for: time grows with their number's square."""


@dataclass(frozen=True)
class EvaluateTUFAConfig:
    """Measure a TUFA on held-out renders and on AFW."""

    weights: Path
    """Checkpoint of `python -m atpn tufa train`."""
    data: Path
    """Held-out renders."""
    afw: Path | None = None
    """Folder of AFW's photographs and labels; they are only measured on."""
    atpn: Path = SHIPPED
    """ATPN checkpoint that makes the crops and stands beside in the table."""
    out: Path | None = None
    """JSON report."""


@dataclass(frozen=True)
class Faces:
    """Crops with everything known of them."""

    crops: np.ndarray
    """(n, S, S, 3) uint8 RGB."""
    landmarks: np.ndarray
    """(n, N, 2) labels in [0, 1] of the crop."""
    size: np.ndarray
    """(n,) distance of the outer eye corners in crop widths."""
    dense: np.ndarray | None = None
    """(n, P, 2) dense points in [0, 1] of the crop."""
    plane: np.ndarray | None = None
    """(P, 2) their places on the plane."""


def evaluate(config: EvaluateTUFAConfig) -> dict[str, Any]:
    """The report, also printed and, with `out`, written."""
    model, metadata = load_network(config.weights, TUFA)
    atpn, _ = load_checkpoint(config.atpn)
    report: dict[str, Any] = {
        "weights": config.weights.name,
        "trained": {key: metadata.get(key) for key in ("sources", "points", "align", "samples", "start")},
        "versions": library_versions(),
    }
    rendered = rendered_faces(SampleStore.read(config.data), model.config.input_size, atpn.mean_shape.numpy())
    report["rendered"] = figures(model, rendered)
    if config.afw is not None:
        faces, own = real_faces(config.afw, model.config.input_size, atpn)
        report["afw"] = {**figures(model, faces), "atpn": own}
    if config.out is not None:
        write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    for name in ("rendered", "afw"):
        if name in report:
            print(name, "  ".join(f"{key} {100 * value:.2f} %" for key, value in report[name].items()))
    return report


def rendered_faces(store: SampleStore, size: int, mean_shape: np.ndarray) -> Faces:
    """The store's faces up to `MAX_YAW` that have dense points, by the crop rule alone; ValueError when none has."""
    crops, rng = [], np.random.default_rng(0)
    indices = [int(i) for i in np.intersect1d(store.faces, store.with_dense)]
    if not indices:
        raise ValueError("these renders have no dense points to measure on; render them anew")
    for index in indices:
        roi = jittered_roi(store.landmarks[index], mean_shape, NO_JITTER, rng)
        crops.append(cut_crop(store[index], roi, size))
    frontal = [crop for crop in crops if not abs(crop.pose[1]) > MAX_YAW]
    if not frontal:
        raise ValueError(
            f"none of these renders' {len(crops)} faces with dense points is turned by less than "
            f"{np.degrees(MAX_YAW):.0f} degrees, so none can be measured on; render more"
        )
    landmarks = np.stack([crop.landmarks for crop in frontal])
    return Faces(
        crops=np.stack([crop.image for crop in frontal]),
        landmarks=landmarks,
        size=store.scheme.inter_ocular(landmarks),
        dense=np.stack([crop.dense for crop in frontal]),
        plane=store.plane(indices[0]),
    )


def real_faces(folder: Path, size: int, atpn: Any) -> tuple[Faces, float]:
    """AFW's faces with their 68 labels, and ATPN's own error on the same crops."""
    found = [(photo.image, face) for photo in read_afw(folder) for face in photo.faces]
    images, target = [image for image, _ in found], np.stack([face for _, face in found])
    regions = [ROI.from_landmarks(face) for face in target]
    upright = run_passes(CheckpointBackend(atpn), images, regions, IBUG_68)["upright"]
    crops = np.stack([extract_crop(image, roi, size) for image, roi in zip(images, upright.rois, strict=True)])
    landmarks = np.stack([roi.to_crop(face) for roi, face in zip(upright.rois, target, strict=True)])
    own = metrics.point_errors(upright.landmarks, target, IBUG_68.inter_ocular(target)).mean()
    return Faces(crops, landmarks, IBUG_68.inter_ocular(landmarks)), float(own)


def figures(model: TUFA, faces: Faces) -> dict[str, float]:
    """NME over the eye distance: of the schemes that the network knows, of iBUG's 68 placed on the plane by affine
    alignment alone (`zero_shot`), and of dense points, where they are known."""
    labelled = WFLW_98 if faces.landmarks.shape[1] == WFLW_98.count else IBUG_68
    known = [name for name, _ in model.config.schemes if name in SCHEMES]
    asked: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # name: points of the plane, their labels
    for name in known:
        anchors = model.anchors(name).numpy()
        if labelled is WFLW_98 or name == IBUG_68.name:
            asked[name] = anchors, converted_from(faces.landmarks, labelled.name, name)
        elif name == WFLW_98.name:
            asked["wflw98_as_ibug68"] = converted(anchors, IBUG_68.name), faces.landmarks
    reference = next((name for name in known if name != IBUG_68.name), None)
    if reference is not None:
        labels = converted_from(faces.landmarks, labelled.name, IBUG_68.name)
        asked["zero_shot"] = zero_shot_plane(model, reference), labels
    if faces.dense is not None and faces.plane is not None:
        asked["dense"] = faces.plane[::DENSE_STEP], faces.dense[:, ::DENSE_STEP]
    planes = [plane for plane, _ in asked.values()]
    predicted = predict_planes(model, faces.crops, planes)
    return {
        name: float(metrics.point_errors(found, target, faces.size).mean())
        for found, (name, (_, target)) in zip(predicted, asked.items(), strict=True)
    }


def converted_from(landmarks: np.ndarray, source: str, target: str) -> np.ndarray:
    """(n, N, 2) labels of a scheme as another's; labels of 68 points have only themselves."""
    return landmarks if source == target else converted(landmarks, target)


def zero_shot_plane(model: TUFA, reference: str) -> np.ndarray:
    """(68, 2) iBUG's mean shape brought onto the plane by an affine map (section 6.3.7), as if nobody had labelled it.

    The map goes by the points that it shares with a scheme that the network knows.
    """
    mean, (shared, theirs) = mean_68(), shared_points(IBUG_68.name, reference)
    return affine_onto(mean, mean[shared], model.anchors(reference).numpy()[theirs])


def mean_68() -> np.ndarray:
    """(68, 2) mean shape in a frame of its own: 0 to 1 across its bounding rectangle."""
    mean = converted(load_checkpoint(SHIPPED)[0].mean_shape.numpy(), IBUG_68.name)
    low, high = mean.min(axis=0), mean.max(axis=0)
    return (mean - low) / (high - low)
