"""Asking a TUFA for points of the plane on many crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from atpn.tufa.anchors import UNSEEN
from atpn.tufa.network import TUFA
from edge_runtime.landmarks import SCHEMES
from edge_runtime.template import Template


class Asked(NamedTuple):
    """What to find on faces."""

    name: str
    plane: np.ndarray
    """(M, 2) places on the plane."""
    edges: tuple[tuple[int, int], ...] = ()
    """Points to join with a line in a picture."""


def asked_points(model: TUFA, template: str) -> Asked:
    """A template's points by its JSON file, or those of a scheme or fitted template that the network knows by name.

    A file whose template the network was fitted to gives the fitted places. FileNotFoundError or ValueError says what
    is neither.
    """
    known = [name for name, _ in model.config.schemes]
    if template in known:
        edges = SCHEMES[template].edges if template in SCHEMES else ()
        return Asked(template, model.anchors(template).cpu().numpy(), edges)
    if not template.endswith(".json"):
        raise ValueError(f"{template!r} is no .json file of a template, and the network knows {', '.join(known)}")
    read = Template.read(template)
    if read.name not in known:
        return Asked(read.name, read.points, read.edges)
    fitted = model.anchors(read.name).cpu().numpy()
    if len(fitted) != len(read.points):
        raise ValueError(
            f"{template} has {len(read.points)} points, but the network was fitted to {len(fitted)} of {read.name}; "
            "fit it again, or rename the template"
        )
    return Asked(read.name, fitted, read.edges)


def context_of(model: TUFA, name: str) -> np.ndarray:
    """(K, 2) places to ask along with what is called `name`; (0, 2) when there are none.

    Prompts see each other, and training asks either for dense points or for one scheme's anchors: a template's points
    are at home among places spread over the face, a scheme's among anchors (those of the first scheme that the network
    knows). A network that has not seen dense points has anchors only.
    """
    if model.config.dense and name not in (*SCHEMES, UNSEEN):
        return SPREAD
    known = [scheme for scheme, _ in model.config.schemes if scheme in (*SCHEMES, UNSEEN)]
    return model.anchors(known[0]).cpu().numpy() if known else np.zeros((0, 2), np.float32)


def _spread() -> np.ndarray:
    """(44, 2) float32 grid points of the plane inside the face, brows to chin."""
    grid = np.stack(np.meshgrid(np.linspace(0.2, 0.8, 7), np.linspace(0.1, 0.8, 8)), axis=-1).reshape(-1, 2)
    return grid[(((grid - (0.5, 0.45)) / (0.33, 0.38)) ** 2).sum(axis=1) <= 1].astype(np.float32)


SPREAD = _spread()


def predict_plane(
    model: TUFA, crops: np.ndarray, plane: np.ndarray, context: np.ndarray | None = None, batch_size: int = 64
) -> np.ndarray:
    """`predict_planes` for one set of points."""
    return predict_planes(model, crops, [plane], context, batch_size)[0]


@torch.no_grad()
def predict_planes(
    model: TUFA,
    crops: np.ndarray,
    planes: Sequence[np.ndarray],
    context: np.ndarray | None = None,
    batch_size: int = 64,
) -> list[np.ndarray]:
    """(n, S, S, 3) uint8 RGB crops and several sets of (M, 2) plane points to each set's (n, M, 2) float32 places in
    [0, 1] of the crop. The sets are asked separately; the crops are looked at once.

    (K, 2) `context` points are asked along and not returned: prompts see each other, and a template of few points alone
    gives them less of a face to agree on than the 24 that training asks at a time. The mode is restored after.
    """
    training, device = model.training, model.image_mean.device
    model.eval()
    asked = [plane if context is None else np.concatenate([plane, context]) for plane in planes]
    prompts = [torch.from_numpy(points.astype(np.float32)).to(device) for points in asked]
    places: list[list[np.ndarray]] = [[] for _ in planes]
    # Plain attention is the faster one for so few tokens.
    with sdpa_kernel(SDPBackend.MATH):
        for start in range(0, len(crops), batch_size):
            image = torch.from_numpy(crops[start : start + batch_size]).to(device).permute(0, 3, 1, 2).float()
            feature = model.image_feature(image)
            for found, points, plane in zip(places, prompts, planes, strict=True):
                mapped = model.mapped(feature, points.expand(len(image), -1, -1))
                found.append(mapped[:, : len(plane)].cpu().numpy())
    model.train(training)
    return [np.concatenate(found) for found in places]
