"""How landmarks shake and trail: normalised mean flicker, its estimate without labels, lag.

All in % of the face's size: the square root of the area of its landmarks' upright rectangle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

MOST_LAG = 4
"""Frames up to which lag is looked for."""
STEP = 0.02
"""Frames to which it is found."""


def nmf(tracked: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> float:
    """Normalised mean flicker of unbroken tracks, % of the face's size; NaN for no two consecutive frames.

    With e[t, k] the error of landmark k in frame t and d[t] the size of the labelled face, it is the root mean square
    of |e[t, k] - e[t-1, k]| / d[t] over all frames and landmarks (Micaelli et al., "Recurrence without Recurrence:
    Stable Video Landmark Detection with Deep Equilibrium Models", CVPR 2023). Their own figures are of a face of 256
    pixels: 256 times these. The thesis has no such figure. Labels that stand still drop out of it.

    Each track and its labels are (T, N, 2) pixels.
    """
    changes = [
        np.linalg.norm(np.diff(points - truth, axis=0), axis=2) / sizes(truth)[1:, None]
        for points, truth in zip(tracked, labels, strict=True)
    ]
    return _root_mean_square(changes)


def flicker(tracked: Sequence[np.ndarray]) -> float:
    """What unlabelled (T, N, 2) tracks tell of their NMF, % of the face's size; NaN for no three consecutive frames.

    Steady motion is taken out: the distance of each landmark from the middle of its places one frame before and after,
    whose mean square is 3/4 of NMF's where errors are independent from frame to frame, and is scaled so. Sudden motion
    counts as flicker.
    """
    residuals = [
        np.linalg.norm(points[1:-1] - (points[:-2] + points[2:]) / 2, axis=2) / sizes(points)[1:-1, None]
        for points in tracked
    ]
    return _root_mean_square(residuals) * 2 / math.sqrt(3)


def lag(truth: Sequence[np.ndarray], later: Sequence[np.ndarray]) -> float:
    """Frames, up to MOST_LAG, by which (T, N, 2) landmarks must be delayed to leave others' errors the least variance.

    A constant offset between the two is no lag. NaN where all tracks are too short to tell.
    """
    delays = np.arange(0, MOST_LAG + STEP / 2, STEP)
    spreads = np.zeros(len(delays))
    for points, followers in zip(truth, later, strict=True):
        if len(points) > MOST_LAG + 1:
            for index, delay in enumerate(delays):
                error = followers[MOST_LAG:] - delayed(points, delay)
                spreads[index] += ((error - error.mean(axis=0)) ** 2).sum()
    return float(delays[int(spreads.argmin())]) if spreads.any() else math.nan


def delayed(points: np.ndarray, delay: float) -> np.ndarray:
    """(T - MOST_LAG, N, 2): for each frame from MOST_LAG on, where (T, N, 2) points were `delay` frames before."""
    whole = min(int(delay), MOST_LAG - 1)
    part, times = delay - whole, np.arange(MOST_LAG, len(points))
    return np.asarray((1 - part) * points[times - whole] + part * points[times - whole - 1])


def error(tracked: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """Root mean square distance between (T, N, 2) landmarks, % of the size of the second ones' faces; NaN for none."""
    distances = [
        np.linalg.norm(points - places, axis=2) / sizes(places)[:, None]
        for points, places in zip(tracked, truth, strict=True)
    ]
    return _root_mean_square(distances)


def sizes(landmarks: np.ndarray) -> np.ndarray:
    """(..., N, 2) landmarks to (...) sizes of the faces, in the landmarks' unit."""
    return np.asarray(np.sqrt(np.ptp(landmarks, axis=-2).prod(axis=-1)))


def _root_mean_square(parts: Sequence[np.ndarray]) -> float:
    count = sum(part.size for part in parts)
    return 100 * math.sqrt(sum(float((part**2).sum()) for part in parts) / count) if count else math.nan
