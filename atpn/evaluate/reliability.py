"""Reliability of predicted standard deviations: predicted against actual error."""

from __future__ import annotations

from typing import Any

import numpy as np

from atpn.evaluate.metrics import landmark_parts
from edge_runtime.landmarks import LandmarkScheme

BINS = 10
"""Bins of equal size, sorted by predicted sigma."""


def calibration(distance: np.ndarray, sigma: np.ndarray) -> dict[str, float]:
    """Compare (...) errors' distances with (...) predicted standard deviations along an axis, in one unit.

    `scale` is the root mean square of distance / (sqrt(2) sigma): 1 is ideal, above it sigma is too small.
    `rank_correlation` is high if larger sigmas go with larger errors.
    """
    ratio = distance / (np.sqrt(2.0) * sigma)
    ranks = [np.argsort(np.argsort(v.ravel())).astype(np.float64) for v in (distance, sigma)]
    return {
        "scale": float(np.sqrt(np.mean(ratio**2))),
        "rank_correlation": float(np.corrcoef(ranks[0], ranks[1])[0, 1]),
    }


def reliability_bins(distance: np.ndarray, sigma: np.ndarray, bins: int = BINS) -> dict[str, list[float]]:
    """Return root mean squares of `predicted` sigmas and `actual` errors along an axis, in bins of rising sigma.

    Takes (...) distances and sigmas of one unit; bins have equal numbers of landmarks.
    """
    order = np.argsort(sigma.ravel(), kind="stable")
    predicted, actual = [], []
    for chosen in np.array_split(order, min(bins, len(order))):
        predicted.append(float(np.sqrt(np.mean(sigma.ravel()[chosen] ** 2))))
        actual.append(float(np.sqrt(np.mean(distance.ravel()[chosen] ** 2) / 2)))
    return {"predicted": predicted, "actual": actual}


def reliability_report(distance: np.ndarray, sigma: np.ndarray, scheme: LandmarkScheme) -> dict[str, Any]:
    """Return `calibration` and `reliability_bins` of (n, N) distances and sigmas, of all landmarks and per part."""
    report: dict[str, Any] = {**calibration(distance, sigma), "bins": reliability_bins(distance, sigma), "parts": {}}
    for name, indices in landmark_parts(scheme).items():
        part = distance[:, indices], sigma[:, indices]
        report["parts"][name] = {**calibration(*part), "bins": reliability_bins(*part)}
    return report
