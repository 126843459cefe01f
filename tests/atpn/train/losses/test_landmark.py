import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from atpn.train.losses import landmark as losses
from edge_runtime.landmarks import COFW_29, SCHEMES, WFLW_98


@pytest.fixture
def shapes():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 98, 2, generator=generator, dtype=torch.float64)
    return target + 0.03 * torch.randn(3, 98, 2, generator=generator, dtype=torch.float64), target


def plain_wing(value, width=4.0, curvature=1.0):
    value = abs(value)
    if value < width:
        return width * math.log(1 + value / curvature)
    return value - (width - width * math.log(1 + width / curvature))


def test_thesis_loss_is_the_mean_distance_over_the_eye_distance(shapes):
    predicted, target = shapes
    expected = 0.0
    for p, t in zip(predicted.numpy(), target.numpy(), strict=True):
        eyes = math.dist(t[60], t[72])
        expected += sum(math.dist(a, b) for a, b in zip(p, t, strict=True)) / 98 / eyes / 3
    assert losses.thesis_landmark_loss(predicted, target, WFLW_98).item() == pytest.approx(expected)


@pytest.mark.parametrize("value", [-7.0, -4.0, -1.5, 0.0, 0.3, 4.0, 12.0])
def test_wing_follows_its_formula(value):
    assert losses.wing(torch.tensor(value, dtype=torch.float64)).item() == pytest.approx(plain_wing(value))


def test_wing_loss_is_in_percent_of_the_rectangle(shapes):
    predicted, target = shapes
    expected = []
    for p, t in zip(predicted.numpy(), target.numpy(), strict=True):
        side = max(np.ptp(t[:, 0]), np.ptp(t[:, 1]))
        expected += [plain_wing(100 * e / side) for e in (p - t).ravel()]
    assert losses.wing_loss(predicted, target).item() == pytest.approx(np.mean(expected))


def test_gap_loss_sees_opening_but_not_shift(shapes):
    _, target = shapes
    assert losses.gap_loss(target + 0.1, target, WFLW_98).item() == pytest.approx(0, abs=1e-9)
    opened = target.clone()
    opened[:, 94, 1] += 0.02
    pairs = losses.GAP_PAIRS["wflw98"]
    expected = [plain_wing(2.0 / max(np.ptp(t[:, 0]), np.ptp(t[:, 1]))) / (len(pairs) * 2) for t in target.numpy()]
    assert losses.gap_loss(opened, target, WFLW_98).item() == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_gap_pairs_mirror_into_gap_pairs(scheme):
    pairs = {frozenset(pair) for pair in losses.GAP_PAIRS[scheme.name]}
    assert {frozenset(int(scheme.mirror[i]) for i in pair) for pair in pairs} == pairs


def test_a_scheme_without_gap_pairs_is_refused():
    points = torch.rand(1, 29, 2)
    with pytest.raises(ValueError, match="no gap pairs for scheme mine"):
        losses.gap_loss(points, points, replace(COFW_29, name="mine"))


def test_uncertainty_loss_is_a_likelihood():
    # exp(-loss) integrated over the plane is the same constant for every sigma: it is a normalized density.
    def mass(sigma):
        radius = torch.linspace(1e-4, 40 * sigma, 40001, dtype=torch.float64)
        predicted = torch.stack([radius, torch.zeros_like(radius)], -1)[:, None]
        log_sigma = torch.full((1, 1), math.log(sigma), dtype=torch.float64)
        per_radius = torch.stack(
            [losses.uncertainty_loss(p[None], log_sigma, torch.zeros(1, 1, 2)) for p in predicted[::40]]
        )
        return torch.trapezoid(torch.exp(-per_radius) * 2 * math.pi * radius[::40], radius[::40]).item()

    assert mass(0.02) == pytest.approx(mass(0.07), rel=1e-3)


def test_uncertainty_finds_the_spread_and_leaves_the_landmarks_alone():
    generator = torch.Generator().manual_seed(1)
    target = torch.zeros(4000, 1, 2)
    predicted = (0.05 * torch.randn(4000, 1, 2, generator=generator)).requires_grad_()
    # For a Laplace density of this mean distance: d/ds (sqrt(3) mean / exp(s) + 2 s) = 0.
    expected = math.sqrt(3) * predicted.norm(dim=-1).mean().item() / 2
    log_sigma = torch.tensor(0.0, requires_grad=True)
    optimizer = torch.optim.Adam([log_sigma], 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        losses.uncertainty_loss(predicted, log_sigma.expand(4000, 1), target).backward()
        optimizer.step()
    assert log_sigma.exp().item() == pytest.approx(expected, rel=0.02)
    assert predicted.grad is None
