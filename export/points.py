"""Points besides the landmarks: a template's or prompts, what the network says of them, how far a file strays."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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

_CHECKED_SEED = 7
FACE_SHARE = 1 / (1 + 2 * ROI_MARGIN)
"""Of the crop: what the crop rule leaves to the landmarks' rectangle."""


@dataclass(frozen=True)
class Points:
    """Results for n crops and M points."""

    places: np.ndarray
    """(n, M, 2) in [0, 1] of the crop."""
    uncertainty: np.ndarray
    """(n, M) standard deviations, crop widths."""


@dataclass(frozen=True)
class PointParity:
    """A file's points against the network's."""

    points: float
    """Largest difference of any coordinate, crop widths."""
    points_mean: float
    """Mean distance on faces, crop widths."""
    points_over_landmarks: float
    """That distance over the one of the landmarks from the network's: both are read from one vector."""
    points_uncertainty: float
    """Largest difference, crop widths."""
    points_uncertainty_change: float
    """Mean difference on faces, as a share of the network's own mean."""

    def figures(self) -> dict[str, float]:
        """All by name."""
        return asdict(self)


def random_plane(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 2) float32 places anywhere on the mean-face plane."""
    return rng.random((count, 2), np.float32)


def checked_plane(count: int) -> np.ndarray:
    """The (count, 2) places at which files with prompts are measured, always the same.

    They lie in the middle of the plane, where the mean face's landmarks fill a rectangle of this size: beyond it is
    hair and background, which no head is trained on.
    """
    low, high = (1 - FACE_SHARE) / 2, (1 + FACE_SHARE) / 2
    return low + (high - low) * random_plane(count, np.random.default_rng(_CHECKED_SEED))


def network_points(model: ATPN, vectors: Tensor, spec: ModelSpec) -> Points:
    """What the network says of a file's points, from (n, 512) vectors of the crops.

    A file with prompts is asked for `checked_plane`; a prompt head answers for any file, a template's for its own.
    """
    head = model.point_head
    with torch.no_grad():
        if isinstance(head, PromptHead):
            plane = checked_plane(spec.prompts) if spec.template is None else spec.template.points
            places, log_sigma = head(vectors, torch.tensor(plane))
        else:
            assert head is not None
            places, log_sigma = head(vectors)
    return Points(places.numpy(), log_sigma.exp().numpy())


def file_points(rows: list[dict[str, np.ndarray]]) -> Points:
    """A file's results, one row per crop."""
    return Points(*(np.stack([row[name] for row in rows]) for name in ("points", "points_uncertainty")))


def compare_points(file: Points, network: Points, landmarks: np.ndarray, faces: np.ndarray) -> PointParity:
    """`landmarks`: (n, N, 2) differences of the file's landmarks; `faces`: (n,) bool, which crops hold a face."""
    difference = file.places - network.places
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
    """The template of a checkpoint whose head has one; ExportError when its metadata do not hold it."""
    head = model.point_head
    if not isinstance(head, TemplateHead):
        return None
    try:
        template = Template.from_dict(metadata.get("template"))
    except ValueError as error:
        raise ExportError(
            f"the weights have the head of a template, their metadata do not tell which: {error}"
        ) from error
    if len(template.points) != head.count:
        raise ExportError(
            f"the weights' head finds {head.count} points, their template {template.name} has {len(template.points)}"
        )
    return template


def with_template(model: ATPN, template: Template) -> ATPN:
    """The network for one template only; ExportError when it has no prompt head."""
    if not isinstance(model.point_head, PromptHead):
        raise ExportError("only weights with a prompt head find any template: leave out --template")
    return model.with_head(model.point_head.template(torch.tensor(template.points)))
