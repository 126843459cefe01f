"""Inference of query points of the plane on many crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from atpn.tufa.anchors import WFLW_WITHOUT_IBUG
from atpn.tufa.network import TUFA
from edge_runtime.landmarks import SCHEMES
from edge_runtime.template import Template


class QueryPoints(NamedTuple):
    """Points of the plane to locate on faces."""

    name: str
    plane: np.ndarray
    """(M, 2) on the plane."""
    edges: tuple[tuple[int, int], ...] = ()
    """Pairs of points to connect in drawings."""


def load_query_points(model: TUFA, template: str) -> QueryPoints:
    """Load points from a template's JSON file, or those of a scheme or fitted template that the network knows by name.

    For a file's template that the network was fitted to, the fitted points are returned. FileNotFoundError if there is
    no such file; ValueError if the name is unknown, or the file is not a template that fits the network's.
    """
    known = [name for name, _ in model.config.schemes]
    if template in known:
        scheme = model.scheme_of(template)
        edges = SCHEMES[scheme].edges if scheme in SCHEMES else ()
        return QueryPoints(template, model.anchors(template).cpu().numpy(), edges)
    if not template.endswith(".json"):
        raise ValueError(f"unknown template {template!r}: give a .json file or one of {', '.join(known)}")
    read = Template.read(template)
    if read.name not in known:
        return QueryPoints(read.name, read.points, read.edges)
    fitted = model.anchors(read.name).cpu().numpy()
    if len(fitted) != len(read.points):
        raise ValueError(
            f"{template} has {len(read.points)} points, but the network was fitted to {len(fitted)} of {read.name}; "
            "fit it again, or rename the template"
        )
    return QueryPoints(read.name, fitted, read.edges)


def context_of(model: TUFA, name: str) -> np.ndarray:
    """Return (K, 2) context points to query along with those called `name`; (0, 2) if there are none.

    Prompts attend to each other, and a training crop has either dense points or one scheme's anchors. So a template's
    context is points spread over the face, a scheme's the anchors of the first known scheme. A network trained without
    dense points has anchors only.
    """
    landmarks = (*SCHEMES, WFLW_WITHOUT_IBUG, *dict(model.config.sets))
    if model.config.dense and name not in landmarks:
        return DENSE_CONTEXT
    known = [scheme for scheme, _ in model.config.schemes if scheme in landmarks]
    return model.anchors(known[0]).cpu().numpy() if known else np.zeros((0, 2), np.float32)


def _grid_in_face() -> np.ndarray:
    """Return (44, 2) float32 grid points of the plane inside the face, brows to chin."""
    grid = np.stack(np.meshgrid(np.linspace(0.2, 0.8, 7), np.linspace(0.1, 0.8, 8)), axis=-1).reshape(-1, 2)
    return grid[(((grid - (0.5, 0.45)) / (0.33, 0.38)) ** 2).sum(axis=1) <= 1].astype(np.float32)


DENSE_CONTEXT = _grid_in_face()


def predict_plane(
    model: TUFA, crops: np.ndarray, plane: np.ndarray, context: np.ndarray | None = None, batch_size: int = 64
) -> np.ndarray:
    """Call `predict_planes` for one set of points."""
    return predict_planes(model, crops, [plane], context, batch_size)[0]


@torch.no_grad()
def predict_planes(
    model: TUFA,
    crops: np.ndarray,
    planes: Sequence[np.ndarray],
    context: np.ndarray | None = None,
    batch_size: int = 64,
) -> list[np.ndarray]:
    """Locate several sets of (M, 2) plane points on (n, S, S, 3) uint8 RGB crops, as (n, M, 2) float32 in [0, 1] each.

    The image feature is computed once; the sets are queried separately, each along with the (K, 2) of `context`: few
    points alone have less of a face to agree on than the 24 of training. The model's mode is restored.
    """
    training, device = model.training, model.image_mean.device
    model.eval()
    query = [plane if context is None else np.concatenate([plane, context]) for plane in planes]
    prompts = [torch.from_numpy(points.astype(np.float32)).to(device) for points in query]
    places: list[list[np.ndarray]] = [[] for _ in planes]
    # The math kernel is faster for so few tokens.
    with sdpa_kernel(SDPBackend.MATH):
        for start in range(0, len(crops), batch_size):
            image = torch.from_numpy(crops[start : start + batch_size]).to(device).permute(0, 3, 1, 2).float()
            feature = model.image_feature(image)
            for located, points, plane in zip(places, prompts, planes, strict=True):
                mapped = model.mapped(feature, points.expand(len(image), -1, -1))
                located.append(mapped[:, : len(plane)].cpu().numpy())
    model.train(training)
    return [np.concatenate(located) for located in places]
