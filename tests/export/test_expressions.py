"""Expressions and gaze of a file beside its network's."""

import numpy as np
import pytest

from atpn.evaluate.inference import ExpressionPredictions
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.landmarks import COFW_29
from export.crop_set import CropSet
from export.evaluation import exceeded_tolerances
from export.expressions import compare_expressions, file_expressions
from export.landmark_metrics import TOLERANCES


def crop_set(expressions, gaze):
    landmarks = np.zeros((len(gaze), 29, 2), np.float32)
    return CropSet(
        crops=np.zeros((len(gaze), 8, 8, 3), np.uint8),
        landmarks=landmarks,
        pose=np.zeros((len(gaze), 3), np.float32),
        expressions=expressions,
        gaze=gaze,
        scheme=COFW_29,
        origin={},
        sha256="",
    )


@pytest.fixture
def truth():
    """Three faces, the last of which has no labels."""
    expressions, gaze = np.full((3, len(EXPRESSIONS)), 0.5, np.float32), np.zeros((3, 2, 2), np.float32)
    expressions[2], gaze[2] = np.nan, np.nan
    return crop_set(expressions, gaze)


def off_by(coefficients, yaw):
    gaze = np.zeros((3, 2, 2))
    gaze[..., 0] = np.radians(yaw)
    return ExpressionPredictions(np.full((3, len(EXPRESSIONS)), 0.5 + coefficients), gaze)


def test_errors_of_both_and_their_differences(truth):
    found = compare_expressions(off_by(0.11, 7.0), off_by(0.1, 6.0), truth)
    assert found.expressions == pytest.approx(0.01)
    assert found.gaze == pytest.approx(np.radians(1.0))
    assert (found.expression_mae, found.network_expression_mae) == pytest.approx((0.11, 0.1))
    assert (found.gaze_error, found.network_gaze_error) == pytest.approx((7.0, 6.0))
    problems = exceeded_tolerances(vars(found), {k: v for k, v in TOLERANCES["int8"].items() if k in vars(found)})
    assert problems == [
        "relative_expression_mae_increase is 0.1, tolerance 0.05",
        "gaze_error_increase is 1, tolerance 0.3",
    ]


def test_without_labels_only_differences_are_known(truth):
    unknown = crop_set(np.full_like(truth.expressions, np.nan), np.full_like(truth.gaze, np.nan))
    found = compare_expressions(off_by(0.2, 7.0), off_by(0.1, 6.0), unknown)
    assert found.expressions == pytest.approx(0.1)
    assert found.expression_mae is found.relative_expression_mae_increase is found.gaze_error_increase is None


def test_a_files_outputs_are_stacked():
    rows = [{"expressions": np.full(52, i), "gaze": np.full((2, 2), i)} for i in range(3)]
    found = file_expressions(rows)
    assert found.expressions[:, 0].tolist() == found.gaze[:, 1, 1].tolist() == [0, 1, 2]
