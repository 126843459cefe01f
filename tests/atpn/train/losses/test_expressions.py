from __future__ import annotations

import numpy as np
import pytest
import torch

from atpn.evaluate.expressions import gaze_errors
from atpn.train.losses.expressions import expression_loss, gaze_loss
from edge_runtime.expressions import EXPRESSIONS


def test_the_expression_loss_is_zero_at_the_target_and_ignores_what_is_not_given():
    target = torch.rand(4, 52).clamp(0.01, 0.99)
    given = torch.ones(52)
    given[3] = 0.0
    exact = target.logit()
    assert expression_loss(exact, target, given) == pytest.approx(0.0, abs=1e-6)
    exact[:, 3] += 5.0
    assert expression_loss(exact, target, given) == pytest.approx(0.0, abs=1e-6)
    exact[:, 4] += 1.0
    assert expression_loss(exact, target, given) > 1e-4


def test_the_best_constant_is_the_mean():
    target = torch.tensor([0.0, 0.0, 0.0, 1.0])[:, None].expand(4, 52)
    values = torch.linspace(0.05, 0.95, 19)
    losses = [expression_loss(v.logit().expand(4, 52), target, torch.ones(52)) for v in values]
    assert values[int(np.argmin(losses))] == pytest.approx(0.25, abs=1e-6)


def test_absolute_errors_draw_the_best_constant_towards_the_median():
    target = torch.tensor([0.0, 0.0, 0.0, 1.0])[:, None].expand(4, 52)
    values = torch.linspace(0.01, 0.95, 95)
    losses = [expression_loss(v.logit().expand(4, 52), target, torch.ones(52), 0.5) for v in values]
    # Of a constant v the loss is -(1 - q) log(1 - v) - q log v + 0.5 ((1 - q) v + q (1 - v)) with q = 1/4.
    derivative = 0.75 / (1 - values) - 0.25 / values + 0.25
    assert values[int(np.argmin(losses))] == pytest.approx(float(values[derivative.abs().argmin()]), abs=0.011)
    assert values[int(np.argmin(losses))] < 0.25


def test_closed_eyes_have_no_gaze_loss():
    expressions = torch.zeros(2, 52)
    expressions[0, EXPRESSIONS.index("eyeBlinkLeft")] = 1.0
    target, gaze = torch.zeros(2, 2, 2), torch.zeros(2, 2, 2)
    gaze[0, 0] = 1.0  # the closed eye
    assert gaze_loss(gaze, target, expressions) == 0.0
    gaze[0, 1, 0] = 0.3  # the open one
    assert gaze_loss(gaze, target, expressions) == pytest.approx(0.15 / 3)
    expressions[:, [0, 7]] = 1.0
    assert torch.isfinite(gaze_loss(gaze, target, expressions))


def test_gaze_errors_are_angles_on_the_sphere():
    a = np.array([[0.0, 0.0], [0.3, 0.0], [0.0, np.pi / 2]])
    b = np.array([[0.0, 0.2], [-0.3, 0.0], [1.0, np.pi / 2]])
    np.testing.assert_allclose(gaze_errors(a, b), np.degrees([0.2, 0.6, 0.0]), atol=1e-5)
