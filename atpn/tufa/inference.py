"""Asking a TUFA for points of the plane on many crops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from atpn.tufa.network import TUFA


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
