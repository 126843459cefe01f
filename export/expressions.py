"""Expressions and gaze of a file, compared with its network's and with labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atpn.evaluate.expressions import gaze_errors
from atpn.evaluate.inference import ExpressionPredictions
from export.crop_set import CropSet


@dataclass(frozen=True)
class ExpressionParity:
    """Differences of a file's expressions and gaze from the network's, and the errors of both."""

    expressions: float
    """Largest difference of any coefficient."""
    gaze: float
    """Largest difference of any angle, radians."""
    expression_mae: float | None
    """Mean absolute error of the file's coefficients; None, as for all that follows, without labels."""
    network_expression_mae: float | None
    """The same of the network's."""
    relative_expression_mae_increase: float | None
    """How much larger the file's error is, over the network's."""
    gaze_error: float | None
    """Mean angle between the file's gaze and the label, degrees."""
    network_gaze_error: float | None
    """The same of the network's."""
    gaze_error_increase: float | None
    """How much larger the file's error is, degrees."""


def file_expressions(outputs: list[dict[str, np.ndarray]]) -> ExpressionPredictions:
    """Return a file's expressions and gaze from its outputs, crop by crop."""
    return ExpressionPredictions(*(np.stack([row[name] for row in outputs]) for name in ("expressions", "gaze")))


def compare_expressions(
    file: ExpressionPredictions, network: ExpressionPredictions, ground_truth: CropSet
) -> ExpressionParity:
    """Compare a file's results with the network's on the same crops."""
    expressions = float(np.abs(file.expressions - network.expressions).max())
    gaze = float(np.abs(file.gaze - network.gaze).max())
    known = ~(np.isnan(ground_truth.expressions).any(axis=1) | np.isnan(ground_truth.gaze).any(axis=(1, 2)))
    if not known.any():
        return ExpressionParity(expressions, gaze, None, None, None, None, None, None)

    def errors(found: ExpressionPredictions) -> tuple[float, float]:
        coefficients = np.abs(found.expressions - ground_truth.expressions)[known]
        return float(coefficients.mean()), float(gaze_errors(found.gaze, ground_truth.gaze)[known].mean())

    (mae, angle), (network_mae, network_angle) = errors(file), errors(network)
    growth = mae / network_mae - 1.0
    return ExpressionParity(expressions, gaze, mae, network_mae, growth, angle, network_angle, angle - network_angle)
