"""Points besides the landmarks, of a template or query points: the network's, a file's, and their differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atpn.model import ATPN
from atpn.model.point_head import PromptHead, TemplateHead
from edge_runtime.geometry import ROI_MARGIN
from edge_runtime.spec import ModelSpec
from edge_runtime.template import Template
from export.errors import ExportError

_EVALUATION_SEED = 7
FACE_FRACTION = 1 / (1 + 2 * ROI_MARGIN)
"""Fraction of the crop's side that the crop rule leaves to the landmarks' rectangle."""


@dataclass(frozen=True)
class Points:
    """Points of n crops."""

    coordinates: np.ndarray
    """(n, M, 2) in [0, 1] of the crop."""
    uncertainty: np.ndarray
    """(n, M) standard deviations, crop widths."""


@dataclass(frozen=True)
class PointParity:
    """Differences of a file's points from the network's."""

    points: float
    """Largest difference of any coordinate, crop widths."""
    points_mean: float
    """Mean distance on faces, crop widths."""
    points_over_landmarks: float
    """This distance over the mean distance of the landmarks: both are read from one vector."""
    points_uncertainty: float
    """Largest difference, crop widths."""
    points_uncertainty_change: float
    """Mean difference on faces over the network's mean."""


def random_plane(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return (count, 2) float32 query points anywhere in the plane of the mean face, [0, 1]."""
    return rng.random((count, 2), np.float32)


def evaluation_plane(count: int) -> np.ndarray:
    """Return the (count, 2) query points that files are evaluated with, always the same.

    They lie where the mean face's landmarks are: beyond are hair and background, which no head is trained on.
    """
    low, high = (1 - FACE_FRACTION) / 2, (1 + FACE_FRACTION) / 2
    return low + (high - low) * random_plane(count, np.random.default_rng(_EVALUATION_SEED))


def network_points(model: ATPN, vectors: Tensor, spec: ModelSpec) -> Points:
    """Return the network's points for a file, from (n, 512) vectors of the crops.

    A prompt head gives a template's points or, without one, those of `evaluation_plane`.
    """
    head = model.point_head
    with torch.no_grad():
        if isinstance(head, PromptHead):
            plane = evaluation_plane(spec.prompts) if spec.template is None else spec.template.points
            points, log_sigma = head(vectors, torch.tensor(plane))
        else:
            assert head is not None
            points, log_sigma = head(vectors)
    return Points(points.numpy(), log_sigma.exp().numpy())


def file_points(outputs: list[dict[str, np.ndarray]]) -> Points:
    """Return a file's points from its outputs, crop by crop."""
    return Points(*(np.stack([row[name] for row in outputs]) for name in ("points", "points_uncertainty")))


def compare_points(file: Points, network: Points, landmarks: np.ndarray, faces: np.ndarray) -> PointParity:
    """Compare a file's points with the network's.

    Args:
        file: The file's points.
        network: The network's points.
        landmarks: (n, N, 2) differences of the file's landmarks from the network's.
        faces: (n,) bool, which crops hold a face.
    """
    difference = file.coordinates - network.coordinates
    distance = float(np.linalg.norm(difference[faces], axis=-1).mean())
    change = np.abs(file.uncertainty - network.uncertainty)
    tiny = float(np.finfo(np.float32).tiny)
    return PointParity(
        points=float(np.abs(difference).max()),
        points_mean=distance,
        points_over_landmarks=distance / max(float(np.linalg.norm(landmarks[faces], axis=-1).mean()), tiny),
        points_uncertainty=float(change.max()),
        points_uncertainty_change=float(change[faces].mean()) / float(network.uncertainty[faces].mean()),
    )


def template_of(model: ATPN, metadata: dict[str, Any]) -> Template | None:
    """Return the template of a checkpoint's head, if it has one. ExportError when the metadata do not describe it."""
    head = model.point_head
    if not isinstance(head, TemplateHead):
        return None
    try:
        template = Template.from_dict(metadata.get("template"))
    except ValueError as error:
        raise ExportError(
            f"the weights have a template head, but no valid template in their metadata: {error}"
        ) from error
    if len(template.points) != head.count:
        raise ExportError(
            f"the weights' head gives {head.count} points, their template {template.name} has {len(template.points)}"
        )
    return template


def with_template(model: ATPN, template: Template) -> ATPN:
    """Return the network for one template only. ExportError when it has no prompt head."""
    if not isinstance(model.point_head, PromptHead):
        raise ExportError("--template needs weights with a prompt head: give others or leave out --template")
    return model.with_head(model.point_head.template(torch.tensor(template.points)))
