"""Accuracy metrics. Landmarks are (n, N, 2) in any one unit; errors are fractions, not percent."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from edge_runtime.landmarks import LandmarkScheme

FAILURE = 0.10
"""Maximum mean error of a face, as a fraction of the inter-ocular distance (FR10, AUC10)."""

OPENINGS: Mapping[str, Mapping[str, tuple[tuple[int, int], ...]]] = MappingProxyType(
    {
        "wflw98": {"mouth": ((90, 94),), "eyes": ((62, 66), (70, 74))},
        "ibug68": {"mouth": ((62, 66),), "eyes": ((37, 41), (38, 40), (43, 47), (44, 46))},
        "cofw29": {"mouth": ((25, 26),), "eyes": ((12, 13), (14, 15))},
    }
)
"""Landmark pairs whose mean distance is the opening of mouth and eyes."""


def point_errors(predicted: np.ndarray, target: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return (n, N) distances, divided by (n,) sizes."""
    return np.linalg.norm(predicted - target, axis=-1) / size[:, None]


def rectangle_size(landmarks: np.ndarray) -> np.ndarray:
    """Return the (n,) longer sides of the faces' bounding rectangles: a normalizer that works in profile, too."""
    return (landmarks.max(axis=1) - landmarks.min(axis=1)).max(axis=1)


def failure_rate(errors: np.ndarray, threshold: float = FAILURE) -> float:
    """Return the fraction of (n,) per-face errors above the threshold."""
    return float((errors > threshold).mean())


def area_under_ced(errors: np.ndarray, threshold: float = FAILURE, steps: int = 1000) -> float:
    """Return the area under the cumulative error distribution from 0 to the threshold, divided by the threshold.

    Trapezoids over `steps` even intervals; errors are (n,) per face.
    """
    edges = np.linspace(0.0, threshold, steps + 1)
    return float(np.trapezoid(cumulative_distribution(errors, edges), edges) / threshold)


def cumulative_distribution(errors: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the fractions of (n,) per-face errors that do not exceed each of (k,) values."""
    return np.searchsorted(np.sort(errors), at, side="right") / len(errors)


def landmark_parts(scheme: LandmarkScheme) -> dict[str, list[int]]:
    """Return landmark indices per part of the face; left and right of a part together."""
    parts: dict[str, list[int]] = {}
    for name, indices in scheme.groups.items():
        parts.setdefault(name.removeprefix("left_").removeprefix("right_"), []).extend(indices)
    return parts


def per_part(errors: np.ndarray, scheme: LandmarkScheme) -> dict[str, float]:
    """Return the mean of (n, N) point errors per part."""
    return {name: float(errors[:, indices].mean()) for name, indices in landmark_parts(scheme).items()}


def per_yaw_bin(
    errors: np.ndarray, yaw: np.ndarray, edges: tuple[float, ...] = (0, 15, 30, 45, 60, 75, 90)
) -> dict[str, dict[str, float]]:
    """Return mean and number of (n,) errors per bin of yaw (radians; bin names in degrees); empty bins are left out."""
    degrees = np.degrees(np.abs(yaw))
    bins = {}
    for low, high in itertools.pairwise(edges):
        inside = (degrees >= low) & (degrees < high)
        if inside.any():
            bins[f"{low:g}-{high:g}"] = {"mean": float(errors[inside].mean()), "count": int(inside.sum())}
    return bins


def openings(landmarks: np.ndarray, scheme: LandmarkScheme, part: str) -> np.ndarray:
    """Return the (n,) mean distances of a part's opening pairs; part is "mouth" or "eyes"."""
    pairs = OPENINGS[scheme.name][part]
    gaps = [np.linalg.norm(landmarks[:, a] - landmarks[:, b], axis=-1) for a, b in pairs]
    return np.mean(gaps, axis=0)


def gap_agreement(predicted: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Return the slope of (n,) predicted on true openings (1 is ideal) and their correlation.

    NaN if the ground truth or the prediction does not vary.
    """
    p, t = predicted - predicted.mean(), target - target.mean()
    spread, product = float(t @ t), float(p @ t)
    norm = float(np.sqrt(spread * float(p @ p)))
    return {
        "slope": product / spread if spread > 0 else float("nan"),
        "correlation": product / norm if norm > 0 else float("nan"),
    }


def face_frame_errors(predicted: np.ndarray, target: np.ndarray, scheme: LandmarkScheme) -> np.ndarray:
    """Return (n, N, 2) errors over the inter-ocular distance, along the eye line (x) and down the face (y)."""
    left, right = scheme.outer_eye_corners
    axis = target[:, right] - target[:, left]
    size = np.linalg.norm(axis, axis=-1, keepdims=True)
    axis = axis / size
    frame = np.stack([axis, np.column_stack([-axis[:, 1], axis[:, 0]])], axis=1)
    return np.einsum("nij,nkj->nki", frame, predicted - target) / size[:, None]


def convention_offsets(
    predicted: np.ndarray, target: np.ndarray, scheme: LandmarkScheme
) -> dict[str, dict[str, float]]:
    """Return the constant error per part in the face's frame, which differs by labeling rule.

    `x` and `y` are the part's mean offset; `per_point` is the mean length of its landmarks' median offsets.
    """
    errors = face_frame_errors(predicted, target, scheme)
    medians = np.median(errors, axis=0)
    report = {}
    for name, indices in scheme.groups.items():
        part = medians[list(indices)]
        x, y = part.mean(axis=0)
        report[name] = {"x": float(x), "y": float(y), "per_point": float(np.linalg.norm(part, axis=1).mean())}
    return report


def error_without_offsets(predicted: np.ndarray, target: np.ndarray, scheme: LandmarkScheme) -> float:
    """Return the mean error after each landmark's median offset in the face's frame is removed.

    The offsets come from the same faces, so this is a diagnostic bound, not a result.
    """
    errors = face_frame_errors(predicted, target, scheme)
    return float(np.linalg.norm(errors - np.median(errors, axis=0), axis=-1).mean())


def pose_errors(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return (n, 3) absolute differences of pitch, yaw, roll in degrees, wrapped to [0, 180]."""
    difference = predicted - target
    return np.degrees(np.abs(np.arctan2(np.sin(difference), np.cos(difference))))


def precision_recall(scores: np.ndarray, is_positive: np.ndarray, points: int = 101) -> dict[str, list[float]]:
    """Return the precision at `points` even values of recall from 0 to 1, and these (thesis, figure 3.6).

    At each recall the precision is that of the highest threshold that reaches it. ValueError without a positive.
    """
    hits, seen = _hits_and_seen(scores, is_positive)
    recall = np.linspace(0.0, 1.0, points)
    at = np.searchsorted(hits, np.maximum(1, np.ceil(recall * hits[-1] - 1e-9)))
    return {
        "recall": [round(float(value), 4) for value in recall],
        "precision": [round(float(value), 4) for value in hits[at] / seen[at]],
    }


def average_precision(scores: np.ndarray, is_positive: np.ndarray) -> float:
    """Return average precision: precision times the gain in recall, summed over falling scores.

    Equal scores count as one step. ValueError without a positive.
    """
    hits, seen = _hits_and_seen(scores, is_positive)
    gains = np.diff(hits, prepend=0) / hits[-1]
    return float((gains * hits / seen).sum())


def _hits_and_seen(scores: np.ndarray, is_positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positives, and all examples, that pass each different score, from the highest on."""
    positive = np.asarray(is_positive, bool)
    if not positive.any():
        raise ValueError("average precision needs at least one positive example, got none")
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], positive[order].cumsum()
    last_of_tie = np.append(scores[1:] != scores[:-1], True)
    return hits[last_of_tie], np.arange(1, len(scores) + 1)[last_of_tie]
