"""`python -m atpn tufa evaluate`: metrics of a TUFA on held-out renders, on AFW, and by published protocols.

On renders and AFW, every network gets the same crops: upright, by the crop rule, as ATPN makes them from the labeled
region.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.afw import read_afw
from atpn.data.crops import NO_JITTER, compute_mean_shape, random_crop
from atpn.data.store import SampleStore
from atpn.evaluate import metrics
from atpn.evaluate.backend import CheckpointBackend
from atpn.evaluate.command import SchemeProtocol, library_versions
from atpn.evaluate.passes import run_passes
from atpn.evaluate.protocols.registry import describe, evaluate_protocol
from atpn.model import load_checkpoint, load_network
from atpn.tufa.anchors import converted
from atpn.tufa.backend import AnchorPredictor, protocol_anchors
from atpn.tufa.inference import predict_planes
from atpn.tufa.network import TUFA
from atpn.tufa.published import WFLW
from atpn.tufa.zero_shot import can_place, place_unseen
from atpn.weights import SHIPPED
from edge_runtime.files import write_atomically
from edge_runtime.geometry import ROI, extract_crop
from edge_runtime.landmarks import IBUG_68, SCHEMES, WFLW_98
from edge_runtime.output_paths import OutputFile

MAX_YAW = np.radians(60)
"""Maximum yaw in radians: in profile the eye distance, by which errors are divided, vanishes."""
DENSE_STEP = 5
"""Every fifth dense point is queried: time grows with the square of their number."""


@dataclass(frozen=True)
class EvaluateTUFAConfig:
    """Evaluate a TUFA on held-out renders and on AFW, or by a published protocol."""

    weights: Path
    """Checkpoint of `python -m atpn tufa train`."""
    data: Path
    """Held-out renders; with --protocol, folder of the unpacked dataset."""
    protocol: SchemeProtocol | None = None
    """Published evaluation protocol of landmarks; prints the published results beside ours."""
    anchors: str | None = None
    """With --protocol, the training set whose anchors answer; default: the dataset's own, or the only ones of its
    scheme."""
    partial: bool = False
    """With --protocol, accept an incomplete dataset."""
    afw: Path | None = None
    """Folder of AFW's images and labels, for evaluation only."""
    atpn: Path = SHIPPED
    """ATPN checkpoint that makes the crops and is evaluated as well."""
    out: OutputFile | None = None
    """JSON report."""

    def __post_init__(self) -> None:
        if self.protocol is None and (self.anchors is not None or self.partial):
            raise ValueError("--anchors and --partial are for --protocol")


@dataclass(frozen=True)
class Faces:
    """Crops and their labels."""

    crops: np.ndarray
    """(n, S, S, 3) uint8 RGB."""
    landmarks: np.ndarray
    """(n, N, 2) labels in [0, 1] of the crop."""
    size: np.ndarray
    """(n,) distance of the outer eye corners in crop widths."""
    dense: np.ndarray | None = None
    """(n, P, 2) dense points in [0, 1] of the crop."""
    plane: np.ndarray | None = None
    """(P, 2) the dense points on the plane."""


def evaluate(config: EvaluateTUFAConfig) -> dict[str, Any]:
    """Evaluate, print the report, and write it to `out` if given."""
    model, metadata = load_network(config.weights, TUFA)
    atpn, _ = load_checkpoint(config.atpn)
    report: dict[str, Any] = {
        "weights": config.weights.name,
        "trained": {key: metadata.get(key) for key in ("sources", "points", "align", "samples", "start")},
        "versions": library_versions(),
    }
    if config.protocol is not None:
        report |= protocol_report(model, config, atpn.mean_shape.numpy())
    else:
        rendered = rendered_faces(SampleStore.read(config.data), model.config.input_size, atpn.mean_shape.numpy())
        report["rendered"] = compute_metrics(model, rendered)
    if config.afw is not None:
        faces, own = real_faces(config.afw, model.config.input_size, atpn)
        report["afw"] = {**compute_metrics(model, faces), "atpn": own}
    if config.out is not None:
        write_atomically(config.out, (json.dumps(report, indent=2) + "\n").encode())
    if config.protocol is not None:
        print(describe(config.protocol, report[config.protocol], WFLW if config.protocol == "wflw" else None))
    for name in ("rendered", "afw"):
        if name in report:
            print(name, "  ".join(f"{key} {100 * value:.2f} %" for key, value in report[name].items()))
    return report


def protocol_report(model: TUFA, config: EvaluateTUFAConfig, mean_face: np.ndarray) -> dict[str, Any]:
    """Return the protocol's report and the name of the anchors that answered."""
    name = protocol_anchors(model, config.protocol, config.anchors)
    network = AnchorPredictor(model, SCHEMES[model.scheme_of(name)], model.anchors(name).numpy(), mean_face)
    passes = evaluate_protocol(config.protocol, network, config.data, config.partial)
    return {"anchors": name, config.protocol: passes}


def rendered_faces(store: SampleStore, size: int, mean_shape: np.ndarray) -> Faces:
    """Cut crops of the store's faces up to `MAX_YAW` with dense points; ValueError if there are none."""
    rng = np.random.default_rng(0)
    indices = [int(i) for i in np.intersect1d(store.faces, store.with_dense)]
    if not indices:
        raise ValueError("these renders have no dense points to evaluate on; render them again")
    crops = [random_crop(store[index], mean_shape, size, NO_JITTER, rng) for index in indices]
    frontal = [crop for crop in crops if not abs(crop.pose[1]) > MAX_YAW]
    if not frontal:
        raise ValueError(
            f"none of these renders' {len(crops)} faces with dense points has a yaw below "
            f"{np.degrees(MAX_YAW):.0f} degrees; render more"
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
    """Cut crops of AFW's faces with their 68 labels; return also ATPN's error on them."""
    faces = [(photo.image, face) for photo in read_afw(folder) for face in photo.faces]
    images, target = [image for image, _ in faces], np.stack([face for _, face in faces])
    rois = [ROI.from_landmarks(face) for face in target]
    upright = run_passes(CheckpointBackend(atpn), images, rois, IBUG_68)["upright"]
    crops = np.stack([extract_crop(image, roi, size) for image, roi in zip(images, upright.rois, strict=True)])
    landmarks = np.stack([roi.to_crop(face) for roi, face in zip(upright.rois, target, strict=True)])
    own = metrics.point_errors(upright.landmarks, target, IBUG_68.inter_ocular(target)).mean()
    return Faces(crops, landmarks, IBUG_68.inter_ocular(landmarks)), float(own)


def compute_metrics(model: TUFA, faces: Faces) -> dict[str, float]:
    """Compute NME over the eye distance of the schemes that the network knows, and of dense points if known.

    `zero_shot` are iBUG's 68, placed on the plane by affine alignment of these faces' mean shape alone.
    """
    labeled = WFLW_98 if faces.landmarks.shape[1] == WFLW_98.count else IBUG_68
    known = [name for name, _ in model.config.schemes if model.scheme_of(name) in SCHEMES]
    queries: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # name: points of the plane, their labels
    for name in known:
        anchors, scheme = model.anchors(name).numpy(), model.scheme_of(name)
        if labeled is WFLW_98 or scheme == IBUG_68.name:
            queries[name] = anchors, converted_from(faces.landmarks, labeled.name, scheme)
        elif scheme == WFLW_98.name:
            queries[f"{name}_as_ibug68"] = converted(anchors, IBUG_68.name), faces.landmarks
    own = [name for name in known if model.scheme_of(name) == IBUG_68.name]
    if can_place(model, IBUG_68.name, own):
        labels = converted_from(faces.landmarks, labeled.name, IBUG_68.name)
        mean = converted_from(compute_mean_shape(faces.landmarks, labeled), labeled.name, IBUG_68.name)
        queries["zero_shot"] = place_unseen(model, IBUG_68.name, mean, own), labels
    if faces.dense is not None and faces.plane is not None:
        queries["dense"] = faces.plane[::DENSE_STEP], faces.dense[:, ::DENSE_STEP]
    planes = [plane for plane, _ in queries.values()]
    predicted = predict_planes(model, faces.crops, planes)
    return {
        name: float(metrics.point_errors(points, target, faces.size).mean())
        for points, (name, (_, target)) in zip(predicted, queries.items(), strict=True)
    }


def converted_from(landmarks: np.ndarray, source: str, target: str) -> np.ndarray:
    """Convert (n, N, 2) labels to another scheme; those of 68 points convert to themselves only."""
    return landmarks if source == target else converted(landmarks, target)
