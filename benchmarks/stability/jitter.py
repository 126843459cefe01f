"""Jitter and lag of landmarks: normalized mean flicker, its estimate without labels, lag, error.

All but the lag are in % of the face's size: the square root of the area of its landmarks' upright rectangle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

MAX_LAG = 4
"""Maximum lag, frames."""
STEP = 0.02
"""Resolution of the lag, frames."""


def nmf(tracked: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
    """Return the normalized mean flicker of unbroken (T, N, 2) tracks and their labels, % of the face's size.

    With e[t, k] the error of landmark k in frame t and d[t] the size of the labeled face, it is the root mean square
    of |e[t, k] - e[t-1, k]| / d[t] over all frames and landmarks (Micaelli et al., "Recurrence without Recurrence:
    Stable Video Landmark Detection with Deep Equilibrium Models", CVPR 2023). Their values are for a face of 256
    pixels: 256 times these. The thesis has no such metric. NaN without two consecutive frames.
    """
    changes = [
        np.linalg.norm(np.diff(points - true, axis=0), axis=2) / sizes(true)[1:, None]
        for points, true in zip(tracked, labels, strict=True)
    ]
    return _root_mean_square(changes)


def flicker(tracked: Sequence[np.ndarray]) -> float:
    """Return an estimate of NMF from unlabeled (T, N, 2) tracks; NaN without three consecutive frames.

    The residual is a landmark's distance from the midpoint of its positions one frame before and after, so steady
    motion drops out and sudden motion counts. Its mean square is 3/4 of NMF's if errors are independent from frame to
    frame, and is scaled accordingly.
    """
    residuals = [
        np.linalg.norm(points[1:-1] - (points[:-2] + points[2:]) / 2, axis=2) / sizes(points)[1:-1, None]
        for points in tracked
    ]
    return _root_mean_square(residuals) * 2 / math.sqrt(3)


def lag(ground_truth: Sequence[np.ndarray], later: Sequence[np.ndarray]) -> float:
    """Return the delay of (T, N, 2) landmarks, up to MAX_LAG frames, that minimizes the variance of `later`'s errors.

    A constant offset is not lag. NaN if all tracks are too short.
    """
    delays = np.arange(0, MAX_LAG + STEP / 2, STEP)
    variances = np.zeros(len(delays))
    for points, followers in zip(ground_truth, later, strict=True):
        if len(points) > MAX_LAG + 1:
            for index, delay in enumerate(delays):
                error = followers[MAX_LAG:] - delayed(points, delay)
                variances[index] += ((error - error.mean(axis=0)) ** 2).sum()
    return float(delays[int(variances.argmin())]) if variances.any() else math.nan


def delayed(points: np.ndarray, delay: float) -> np.ndarray:
    """Return (T - MAX_LAG, N, 2): for each frame from MAX_LAG on, the (T, N, 2) points `delay` frames earlier."""
    whole = min(int(delay), MAX_LAG - 1)
    part, times = delay - whole, np.arange(MAX_LAG, len(points))
    return np.asarray((1 - part) * points[times - whole] + part * points[times - whole - 1])


def error(tracked: Sequence[np.ndarray], ground_truth: Sequence[np.ndarray]) -> float:
    """Return the root mean square distance of (T, N, 2) landmarks, % of the true faces' size; NaN for none."""
    distances = [
        np.linalg.norm(points - true, axis=2) / sizes(true)[:, None]
        for points, true in zip(tracked, ground_truth, strict=True)
    ]
    return _root_mean_square(distances)


def sizes(landmarks: np.ndarray) -> np.ndarray:
    """Return the (...) sizes of faces with (..., N, 2) landmarks, in the landmarks' unit."""
    return np.asarray(np.sqrt(np.ptp(landmarks, axis=-2).prod(axis=-1)))


def _root_mean_square(parts: Sequence[np.ndarray]) -> float:
    count = sum(part.size for part in parts)
    return 100 * math.sqrt(sum(float((part**2).sum()) for part in parts) / count) if count else math.nan
