"""Batched inference for validation and evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from atpn.model import ATPN


class Predictions(NamedTuple):
    """`ATPNOutput` as float32 arrays of n rows."""

    landmarks: np.ndarray
    uncertainty: np.ndarray
    pose: np.ndarray
    confidence: np.ndarray


def predictions(rows: Sequence[Mapping[str, np.ndarray]]) -> Predictions:
    """Stack a file's results for n crops; confidence as (n,).

    Pose and confidence of a file without heads are NaN.
    """
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    nothing = np.full((len(rows), 3), np.nan, np.float32)
    return Predictions(
        stacked["landmarks"],
        stacked["uncertainty"],
        stacked.get("pose", nothing),
        stacked.get("confidence", nothing[:, 0]).reshape(len(rows)),
    )


def predict(model: ATPN, crops: np.ndarray, batch_size: int = 128) -> Predictions:
    """Run the network on (n, S, S, 3) uint8 RGB crops, in inference mode and full precision."""
    outputs = [
        [tensor.float().cpu().numpy() for tensor in batch] for batch in _batches(model, model, crops, batch_size)
    ]
    return Predictions(*(np.concatenate(column) for column in zip(*outputs, strict=True)))


def predict_embeddings(model: ATPN, crops: np.ndarray, batch_size: int = 128) -> Tensor:
    """Return the (n, 512) face embeddings of (n, S, S, 3) uint8 RGB crops."""
    return torch.cat(list(_batches(model, model.face_embedding, crops, batch_size)))


class ExpressionPredictions(NamedTuple):
    """`ExpressionOutput` as float32 arrays of n rows."""

    expressions: np.ndarray
    gaze: np.ndarray


def predict_expressions(model: ATPN, crops: np.ndarray, batch_size: int = 128) -> ExpressionPredictions:
    """Return the expressions and gaze of (n, S, S, 3) uint8 RGB crops; ValueError without an expression branch."""
    outputs = [
        [tensor.float().cpu().numpy() for tensor in batch]
        for batch in _batches(model, model.expressions, crops, batch_size)
    ]
    return ExpressionPredictions(*(np.concatenate(column) for column in zip(*outputs, strict=True)))


def _batches(model: ATPN, function: Callable[[Tensor], Any], crops: np.ndarray, batch_size: int) -> Iterator[Any]:
    """Yield a function of the model for batches of crops, in inference mode; the mode is restored afterwards."""
    training, device = model.training, model.image_mean.device
    model.eval()
    for start in range(0, len(crops), batch_size):
        image = torch.from_numpy(crops[start : start + batch_size]).to(device).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            yield function(image)
    model.train(training)
