"""Asking a TUFA for points of the plane on many crops."""

from __future__ import annotations

import numpy as np
import torch

from atpn.tufa.network import TUFA


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
