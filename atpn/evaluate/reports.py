"""All metrics of landmarks and poses as dictionaries, for renders, photographs and ablations."""

from __future__ import annotations

from typing import Any

import numpy as np

from atpn.evaluate import metrics
from edge_runtime.landmarks import LandmarkScheme

CED_ERRORS = np.linspace(0.0, 0.15, 31)
"""Errors at which the cumulative distribution is stored: up to 1.5 times the failure threshold."""
POSE_FAILURE = 10.0
"""Maximum mean error of a face's three angles, degrees (thesis, table 3.6)."""
POSE_CED_ERRORS = np.linspace(0.0, 15.0, 31)
"""Mean errors in degrees at which the cumulative distribution of poses is stored."""
CLOSED_EYES = 0.03
"""Maximum distance of the lids of closed eyes, in eye distances; open ones have 0.06 to 0.12."""
WIDE_MOUTH = 0.20
"""Minimum distance of the inner lips of a wide open mouth, in eye distances."""


def landmark_report(predicted: np.ndarray, target: np.ndarray, scheme: LandmarkScheme) -> dict[str, Any]:
    """Return all landmark metrics of (n, N, 2) shapes; errors are fractions of the inter-ocular distance."""
    inter_ocular = scheme.inter_ocular(target)
    points = metrics.point_errors(predicted, target, inter_ocular)
    faces = points.mean(axis=1)
    report: dict[str, Any] = {
        "faces": len(faces),
        "nme": float(faces.mean()),
        "median": float(np.median(faces)),
        "failure_rate_10": metrics.failure_rate(faces),
        "auc_10": metrics.area_under_ced(faces),
        "ced": {"error": _rounded(CED_ERRORS), "share": _rounded(metrics.cumulative_distribution(faces, CED_ERRORS))},
        "nme_rectangle": float(metrics.point_errors(predicted, target, metrics.rectangle_size(target)).mean()),
        "nme_by_part": metrics.per_part(points, scheme),
        "nme_without_offsets": metrics.error_without_offsets(predicted, target, scheme),
        "convention_offsets": metrics.convention_offsets(predicted, target, scheme),
    }
    for part in metrics.OPENINGS.get(scheme.name, {}):
        opened = [metrics.openings(shape, scheme, part) / inter_ocular for shape in (predicted, target)]
        report[f"{part}_opening"] = metrics.gap_agreement(*opened)
        chosen = opened[1] < CLOSED_EYES if part == "eyes" else opened[1] > WIDE_MOUTH
        if chosen.any():
            name = {"eyes": "closed_eyes", "mouth": "wide_mouth"}[part]
            report[name] = {
                "faces": int(chosen.sum()),
                "nme": float(faces[chosen].mean()),
                "nme_of_part": metrics.per_part(points[chosen], scheme)[part.removesuffix("s")],
                "predicted_opening": float(opened[0][chosen].mean()),
                "labelled_opening": float(opened[1][chosen].mean()),
            }
    return report


def pose_report(predicted: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """Return errors in degrees of (n, 3) poses in radians, overall and up to 60° and 90° of yaw.

    Mean absolute ones; the fraction of faces whose mean of the three is above `POSE_FAILURE`; and the cumulative
    distribution of that mean (thesis, figure 3.8).
    """
    errors, yaw = metrics.pose_errors(predicted, target), np.degrees(np.abs(target[:, 1]))
    report: dict[str, Any] = {}
    for name, inside in (("all", yaw <= 180), ("yaw_60", yaw <= 60), ("yaw_90", yaw <= 90)):
        if inside.any():
            pitch, yaw_error, roll = map(float, errors[inside].mean(axis=0))
            mean = float(errors[inside].mean())
            report[name] = {"mae": mean, "pitch": pitch, "yaw": yaw_error, "roll": roll, "count": int(inside.sum())}
            report[name] |= pose_distribution(errors[inside])
    return report


def pose_distribution(errors: np.ndarray) -> dict[str, Any]:
    """Return failure rate and cumulative distribution of the faces' mean errors, of (n, 3) errors in degrees."""
    faces = errors.mean(axis=1)
    share = metrics.cumulative_distribution(faces, POSE_CED_ERRORS)
    return {
        "failure_rate_10": metrics.failure_rate(faces, POSE_FAILURE),
        "ced": {"error": _rounded(POSE_CED_ERRORS), "share": _rounded(share)},
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]
