"""The wing family, each by its published pieces."""

import math

import pytest
import torch

from atpn.train.losses.landmark import percent_errors
from atpn.train.losses.wing_variants import adaptive_wing, rectified_wing, soft_wing

VALUES = [-9.0, -4.0, -1.3, -0.5, 0.0, 0.2, 1.0, 3.9, 4.1, 20.0]


def value_of(function, value, *arguments):
    return function(torch.tensor(value, dtype=torch.float64), *arguments).item()


@pytest.mark.parametrize("value", VALUES)
def test_soft_wing(value):
    x = abs(value)
    expected = x if x < 1 else 4 * math.log(1 + x) + 1 - 4 * math.log(2)
    assert value_of(soft_wing, value) == pytest.approx(expected)


@pytest.mark.parametrize("value", VALUES)
def test_rectified_wing(value):
    x = abs(value)
    if x < 0.5:
        expected = 0.0
    elif x < 4:
        expected = 4 * math.log(1 + (x - 0.5))
    else:
        expected = x - (4 - 4 * math.log(1 + 3.5))
    assert value_of(rectified_wing, value) == pytest.approx(expected)


@pytest.mark.parametrize("certain", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("value", VALUES)
def test_adaptive_wing(value, certain):
    omega, epsilon, theta, power = 4.0, 1.0, 4.0, 2.1 - certain
    x = abs(value)
    a = omega / (1 + (theta / epsilon) ** power) * power * (theta / epsilon) ** (power - 1) / epsilon
    c = theta * a - omega * math.log(1 + (theta / epsilon) ** power)
    expected = omega * math.log(1 + (x / epsilon) ** power) if x < theta else a * x - c
    assert value_of(adaptive_wing, value, torch.tensor(certain)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("function", [soft_wing, rectified_wing, lambda e: adaptive_wing(e, torch.tensor(0.0))])
def test_pieces_meet_and_gradients_are_finite(function):
    error = torch.linspace(-6, 6, 12001, dtype=torch.float64, requires_grad=True)
    value = function(error)
    assert (value.diff().abs() < 0.01).all()
    value.sum().backward()
    assert error.grad.isfinite().all()
    assert (error.grad.sign() * error.sign() >= 0).all()


def test_an_uncertain_label_s_small_errors_pull_less():
    error = torch.tensor(0.1, requires_grad=True)
    pulls = [torch.autograd.grad(adaptive_wing(error, torch.tensor(y)), error)[0].item() for y in (0.0, 1.0)]
    assert pulls[0] < 0.3 * pulls[1]


def test_errors_are_in_percent_of_the_rectangle():
    target = torch.tensor([[[0.2, 0.2], [0.6, 0.4]]])
    torch.testing.assert_close(percent_errors(target + 0.04, target), torch.full((1, 2, 2), 10.0))
