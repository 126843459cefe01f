"""Asking a TUFA for points of the plane on many crops."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from atpn.tufa.anchors import UNSEEN
from atpn.tufa.network import TUFA
from edge_runtime.landmarks import SCHEMES, WFLW_98
from edge_runtime.template import Template

WEIGHTS = Path(__file__).parents[1] / "weights" / "tufa.safetensors"
"""What we ship."""


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


def reference_scheme(model: TUFA) -> str:
    """The first scheme of the network that 98 landmarks convert to; ValueError when it has none."""
    for name, _ in model.config.schemes:
        if name in SCHEMES or name == UNSEEN:
            return name
    raise ValueError(f"this network knows no landmark scheme such as {WFLW_98.name}; train it with one in --sources")


def context_of(model: TUFA) -> np.ndarray:
    """(K, 2) anchors to ask along with any template: those of `reference_scheme`."""
    return model.anchors(reference_scheme(model)).cpu().numpy()


@torch.no_grad()
def predict_plane(
    model: TUFA, crops: np.ndarray, plane: np.ndarray, context: np.ndarray | None = None, batch_size: int = 64
) -> np.ndarray:
    """(n, S, S, 3) uint8 RGB crops and (M, 2) plane points to (n, M, 2) float32 places in [0, 1] of the crop.

    (K, 2) `context` points are asked along and not returned: prompts see each other, and a template of few points alone
    gives them less of a face to agree on than the 24 that training asks at a time. The mode is restored after.
    """
    training, device = model.training, model.image_mean.device
    model.eval()
    asked = plane if context is None else np.concatenate([plane, context])
    prompts = torch.from_numpy(asked.astype(np.float32)).to(device)
    places = []
    for start in range(0, len(crops), batch_size):
        image = torch.from_numpy(crops[start : start + batch_size]).to(device).permute(0, 3, 1, 2).float()
        places.append(model(image, prompts.expand(len(image), -1, -1))[:, : len(plane)].cpu().numpy())
    model.train(training)
    return np.concatenate(places)
