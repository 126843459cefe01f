"""Running a network over many crops, for validation and evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from atpn.model import ATPN


class Predictions(NamedTuple):
    """`ATPNOutput` as float32 arrays of n rows."""

    landmarks: np.ndarray
    uncertainty: np.ndarray
    pose: np.ndarray
    confidence: np.ndarray


def predictions(rows: Sequence[Mapping[str, np.ndarray]]) -> Predictions:
    """A file's results for n crops, one after the other; confidence as (n,), as the network gives it.

    A file without heads gets pose 0 and confidence 0.
    """
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    nothing = np.zeros((len(rows), 3), np.float32)
    return Predictions(
        stacked["landmarks"],
        stacked["uncertainty"],
        stacked.get("pose", nothing),
        stacked.get("confidence", nothing[:, 0]).reshape(len(rows)),
    )


@torch.no_grad()
def predict(model: ATPN, crops: np.ndarray, batch_size: int = 128) -> Predictions:
    """Results for (n, S, S, 3) uint8 RGB crops, in inference mode and full precision; the mode is restored after."""
    training, device = model.training, model.image_mean.device
    model.eval()
    outputs = []
    for start in range(0, len(crops), batch_size):
        image = torch.from_numpy(crops[start : start + batch_size]).to(device).permute(0, 3, 1, 2).float()
        outputs.append([tensor.float().cpu().numpy() for tensor in model(image)])
    model.train(training)
    return Predictions(*(np.concatenate(column) for column in zip(*outputs, strict=True)))


@torch.no_grad()
def predict_vectors(model: ATPN, crops: np.ndarray, batch_size: int = 128) -> torch.Tensor:
    """(n, S, S, 3) uint8 RGB crops to the (n, 512) vectors that landmarks and point heads read; else as `predict`."""
    training, device = model.training, model.image_mean.device
    model.eval()
    vectors = []
    for start in range(0, len(crops), batch_size):
        image = torch.from_numpy(crops[start : start + batch_size]).to(device).permute(0, 3, 1, 2).float()
        vectors.append(model.face_vector(image))
    model.train(training)
    return torch.cat(vectors)
