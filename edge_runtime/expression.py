"""Openings of eyes and mouth as ratios of landmark distances, with the limits of a typical adult."""

from __future__ import annotations

import numpy as np

from edge_runtime.landmarks import IBUG_68, WFLW_98, LandmarkScheme

_OPENINGS: dict[tuple[str, str], tuple[tuple[int, int], tuple[tuple[int, int], ...]]] = {
    (WFLW_98.name, "left_eye"): ((60, 64), ((61, 67), (62, 66), (63, 65))),
    (WFLW_98.name, "right_eye"): ((68, 72), ((69, 75), (70, 74), (71, 73))),
    (WFLW_98.name, "mouth"): ((88, 92), ((89, 95), (90, 94), (91, 93))),
    (IBUG_68.name, "left_eye"): ((36, 39), ((37, 41), (38, 40))),
    (IBUG_68.name, "right_eye"): ((42, 45), ((43, 47), (44, 46))),
    (IBUG_68.name, "mouth"): ((60, 64), ((61, 67), (62, 66), (63, 65))),
}
"""(scheme, part in the image) to its corners and pairs of upper and lower points."""
_LIMITS = {"left_eye": (0.10, 0.27), "right_eye": (0.10, 0.27), "mouth": (0.0, 0.6)}
"""Mean gap of lids or inner lips over the part's width at which it counts as shut, and as wide open."""


def openings(landmarks: np.ndarray, scheme: LandmarkScheme) -> dict[str, float]:
    """Return how open the eyes and the mouth are, from (N, 2) landmarks.

    0 is shut and 1 wide open, by the scheme's group: `left_eye` and `right_eye` (the image's) and `mouth`. A part whose
    lids or inner lips the scheme lacks is left out.
    """
    parts = [part for name, part in _OPENINGS if name == scheme.name]
    return {part: _opening(landmarks, scheme, part, *_LIMITS[part]) for part in parts}


def _opening(points: np.ndarray, scheme: LandmarkScheme, part: str, low: float, high: float) -> float:
    """Return the mean gap over the width, scaled from [low, high] to [0, 1]."""
    corners, pairs = _OPENINGS[scheme.name, part]
    width = float(np.linalg.norm(points[corners[0]] - points[corners[1]]))
    gaps = [float(np.linalg.norm(points[upper] - points[lower])) for upper, lower in pairs]
    ratio = sum(gaps) / len(gaps) / max(width, 1e-6)
    return min(max((ratio - low) / (high - low), 0.0), 1.0)
