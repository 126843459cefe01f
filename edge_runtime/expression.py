"""Blinks and mouth opening as ratios of landmark distances, with the limits of a typical adult."""

from __future__ import annotations

from typing import Literal

import numpy as np

from edge_runtime.landmarks import IBUG_68, WFLW_98, LandmarkScheme

Eye = Literal["left_eye", "right_eye"]

_OPENINGS: dict[tuple[str, str], tuple[tuple[int, int], tuple[tuple[int, int], ...]]] = {
    (WFLW_98.name, "left_eye"): ((60, 64), ((61, 67), (62, 66), (63, 65))),
    (WFLW_98.name, "right_eye"): ((68, 72), ((69, 75), (70, 74), (71, 73))),
    (WFLW_98.name, "mouth"): ((88, 92), ((89, 95), (90, 94), (91, 93))),
    (IBUG_68.name, "left_eye"): ((36, 39), ((37, 41), (38, 40))),
    (IBUG_68.name, "right_eye"): ((42, 45), ((43, 47), (44, 46))),
    (IBUG_68.name, "mouth"): ((60, 64), ((61, 67), (62, 66), (63, 65))),
}
"""(scheme, part in the image) to its corners and pairs of upper and lower points."""
CLOSED_EYE, OPEN_EYE = 0.10, 0.27
"""Mean lid gap over eye width at which blink is 1, and 0."""
OPEN_MOUTH = 0.6
"""Mean gap of the inner lips over mouth width at which the mouth counts as wide open."""


def blink(landmarks: np.ndarray, scheme: LandmarkScheme, eye: Eye) -> float | None:
    """Return 0 (open) to 1 (shut) from (N, 2) landmarks, or None if the scheme has no lids."""
    opening = _opening(landmarks, scheme, eye, CLOSED_EYE, OPEN_EYE)
    return None if opening is None else 1.0 - opening


def mouth_open(landmarks: np.ndarray, scheme: LandmarkScheme) -> float | None:
    """Return 0 (shut) to 1 (wide open) from (N, 2) landmarks, or None if the scheme has no inner lips."""
    return _opening(landmarks, scheme, "mouth", 0.0, OPEN_MOUTH)


def _opening(points: np.ndarray, scheme: LandmarkScheme, part: str, low: float, high: float) -> float | None:
    """Return the mean gap over the width, scaled from [low, high] to [0, 1]."""
    if (scheme.name, part) not in _OPENINGS:
        return None
    corners, pairs = _OPENINGS[scheme.name, part]
    width = float(np.linalg.norm(points[corners[0]] - points[corners[1]]))
    gaps = [float(np.linalg.norm(points[upper] - points[lower])) for upper, lower in pairs]
    ratio = sum(gaps) / len(gaps) / max(width, 1e-6)
    return min(max((ratio - low) / (high - low), 0.0), 1.0)
