"""Errors after a linear map from a network's landmarks to the labels' convention, to tell convention from precision.

Markups put the same landmark at other places, and each place may depend on pose and expression. So the map corrects
each landmark by a linear function of all of the face's landmarks. It is fitted to other photographs than it is applied
to.
"""

from __future__ import annotations

import numpy as np

FOLDS = 10
PENALTIES = tuple(10.0**k for k in range(-4, 3))
"""Candidate ridge penalties, in mean squares of coordinates; the fitted faces decide, each left out once."""


def adapt(predicted: np.ndarray, target: np.ndarray, photographs: np.ndarray, folds: int = FOLDS) -> np.ndarray:
    """Return predictions in the labels' convention.

    Args:
        predicted: (n, N, 2) landmarks in pixels.
        target: (n, N, 2) labels of the same landmarks.
        photographs: (n,) number of each face's photograph; its faces are fitted to together or not at all.
        folds: Parts of the photographs, each corrected by a map fitted to the others.

    Returns:
        (n, N, 2) corrected landmarks in pixels.

    Raises:
        ValueError: There are fewer photographs than folds.
    """
    names = np.unique(photographs)
    if len(names) < folds:
        raise ValueError(f"{folds} folds need as many photographs, got {len(names)}")
    shapes, labels = (points[..., 0] + 1j * points[..., 1] for points in (predicted, target))
    parts = np.searchsorted(names, photographs) % folds
    adapted = np.empty_like(shapes)
    for fold in range(folds):
        fitted, corrected = parts != fold, parts == fold
        mean = _mean_shape(shapes[fitted])
        aligned, center, turn = _align(shapes[fitted], mean)
        offsets = (labels[fitted] - center) * turn - aligned
        weights, constant = _ridge(_real(aligned - mean), _real(offsets))
        aligned, center, turn = _align(shapes[corrected], mean)
        adapted[corrected] = (aligned + _complex(_real(aligned - mean) @ weights + constant)) / turn + center
    return np.stack([adapted.real, adapted.imag], axis=-1)


def _align(shapes: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn and scale (n, N) complex shapes to the mean shape; return them, their (n, 1) centers and (n, 1) factors."""
    center = shapes.mean(axis=1, keepdims=True)
    centered = shapes - center
    turn = (centered.conj() @ mean / (np.abs(centered) ** 2).sum(axis=1))[:, None]
    return centered * turn, center, turn


def _mean_shape(shapes: np.ndarray) -> np.ndarray:
    """Return the (N,) complex mean shape, of unit size around zero."""
    centered = shapes - shapes.mean(axis=1, keepdims=True)
    mean = (centered / np.linalg.norm(centered, axis=1, keepdims=True)).mean(axis=0)
    return mean / np.linalg.norm(mean)


def _ridge(inputs: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit (n, K) outputs by (n, D) inputs; return the (D, K) weights and (K,) constant."""
    constant = outputs.mean(axis=0)
    residual, center = outputs - constant, inputs.mean(axis=0)
    u, s, vt = np.linalg.svd(inputs - center, full_matrices=False)
    projected = u.T @ residual

    def left_out_error(penalty: float) -> float:
        kept = s**2 / (s**2 + penalty)
        leverage = (u**2 * kept).sum(axis=1, keepdims=True) + 1 / len(inputs)
        return float((((residual - u * kept @ projected) / (1 - leverage)) ** 2).sum())

    scale = float((s**2).sum()) / inputs.shape[1]
    penalty = min((scale * each for each in PENALTIES), key=left_out_error)
    weights = vt.T @ ((s / (s**2 + penalty))[:, None] * projected)
    return weights, constant - center @ weights


def _real(shapes: np.ndarray) -> np.ndarray:
    return np.concatenate([shapes.real, shapes.imag], axis=1)


def _complex(coordinates: np.ndarray) -> np.ndarray:
    x, y = np.split(coordinates, 2, axis=1)
    return x + 1j * y
