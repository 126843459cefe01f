"""Errors of several networks on AFW's real faces: same photographs and boxes, at each peer's best scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atpn.data.afw import Photo
from atpn.train.metrics import failure_rate, point_errors
from benchmarks.peers.network import LandmarkNetwork, region_of
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import IBUG_68

BOX_SCALES = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0)
"""Sides of the crop over that of the landmarks' squared rectangle, to choose a peer's best from."""
NO_JAW = tuple(range(17, 68))


@dataclass(frozen=True)
class Accuracy:
    """One network on the photographs that nothing was chosen on. Errors are % of the outer eye corners' distance."""

    name: str
    faces: int
    box_scale: float
    points: int
    """How many of iBUG's 68 it has; means go over these."""
    nme: float
    nme_without_jaw: float
    """Where labelling rules agree best: a surface's outline is not where annotators see a jaw."""
    failure_rate: float
    """% of the faces with a mean error above 10 %."""


def split(photos: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    """Every other photograph to choose boxes on, beginning with the first, and the rest to report."""
    return list(photos[::2]), list(photos[1::2])


def measure(network: LandmarkNetwork, choosing: Sequence[Photo], reported: Sequence[Photo]) -> Accuracy:
    """Choose the box scale with the least error on some photographs, unless it is fixed, and measure on the others."""
    scale = network.box_scale
    if not network.box_is_fixed:
        scale = min(BOX_SCALES, key=lambda s: float(_errors(network, choosing, s)[:, network.points].mean()))
    errors = _errors(network, reported, scale)
    per_face = errors[:, network.points].mean(axis=1)
    inner = [point for point in network.points if point in NO_JAW]
    return Accuracy(
        name=network.name,
        faces=len(errors),
        box_scale=scale,
        points=len(network.points),
        nme=100 * float(per_face.mean()),
        nme_without_jaw=100 * float(errors[:, inner].mean()),
        failure_rate=100 * failure_rate(per_face),
    )


def _errors(network: LandmarkNetwork, photos: Sequence[Photo], scale: float) -> np.ndarray:
    """(faces, 68) distances over the inter-ocular ones, NaN for points that the network lacks."""
    predicted, target = [], []
    for photo in photos:
        frame = np.ascontiguousarray(photo.image[:, :, ::-1])
        for face in photo.faces:
            region = region_of(ROI.from_landmarks(face, margin=0.0), scale)
            output = network.run(network.prepare(frame, region))
            predicted.append(network.to_ibug(network.decode(output, region)))
            target.append(face)
    truth = np.stack(target)
    return point_errors(np.stack(predicted), truth, IBUG_68.inter_ocular(truth))
