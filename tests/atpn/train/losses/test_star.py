"""STAR loss and its shapes against matrix functions."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from atpn.train.losses.landmark import uncertainty_loss, wing_loss
from atpn.train.losses.star import MAX_RATIO, ambiguity_loss, principal_axes, star_loss


@pytest.fixture
def faces():
    """Predictions, targets and shapes of three faces."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 98, 2, generator=generator, dtype=torch.float64)
    error = 0.03 * torch.randn(3, 98, 2, generator=generator, dtype=torch.float64)
    shape = 0.6 * torch.randn(3, 98, 2, generator=generator, dtype=torch.float64)
    return target + error, target, shape


def covariance(a, b):
    return expm(np.array([[a, b], [b, -a]]))


def plain_wing(value):
    value = abs(value)
    return 4 * math.log(1 + value) if value < 4 else value - 4 + 4 * math.log(5)


def test_star_divides_errors_along_principal_axes_by_the_roots_of_eigenvalues(faces):
    predicted, target, shape = faces
    expected = []
    for p, t, s in zip(predicted.numpy(), target.numpy(), shape.numpy(), strict=True):
        error = 100 * (p - t) / np.ptp(t, axis=0).max()
        for e, (a, b) in zip(error, s, strict=True):
            values, vectors = np.linalg.eigh(covariance(a, b))
            expected += [plain_wing(v @ e) / math.sqrt(value) for v, value in zip(vectors.T, values, strict=True)]
    assert star_loss(predicted, target, shape).item() == pytest.approx(np.mean(expected))


def test_axes_make_up_the_covariance(faces):
    values, axes = principal_axes(faces[2])
    rebuilt = axes.transpose(-1, -2) @ torch.diag_embed(values) @ axes
    np.testing.assert_allclose(rebuilt[0, 0], covariance(*faces[2][0, 0].tolist()), rtol=1e-6)
    np.testing.assert_allclose(torch.linalg.det(rebuilt), 1.0)
    assert (values[..., 0] >= values[..., 1]).all()
    assert principal_axes(torch.tensor([9.0, 0.0]))[0].tolist() == pytest.approx([MAX_RATIO, 1 / MAX_RATIO])


def test_a_round_shape_gives_the_wing_loss(faces):
    predicted, target, _ = faces
    assert star_loss(predicted, target, torch.zeros_like(target)).item() == pytest.approx(
        wing_loss(predicted, target).item()
    )


def test_points_may_slide_along_a_contour_but_not_leave_it():
    target = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    level = torch.tensor([1.5, 0.0]).expand(1, 2, 2)  # seen to scatter along x
    sliding, leaving = (target + torch.tensor(move) for move in ([0.03, 0.0], [0.0, 0.03]))
    assert star_loss(sliding, target, level) < 0.3 * star_loss(leaving, target, level)


def test_ambiguity_loss_is_the_ellipses_likelihood(faces):
    predicted, target, shape = faces
    log_sigma = torch.linspace(-4, -3, 98, dtype=torch.float64).expand(3, 98)
    expected = []
    for p, t, s in zip(predicted.numpy(), target.numpy(), shape.numpy(), strict=True):
        for i, (e, (a, b)) in enumerate(zip(p - t, s, strict=True)):
            mahalanobis = math.sqrt(e @ np.linalg.inv(covariance(a, b)) @ e)
            expected.append(math.sqrt(3) * mahalanobis / math.exp(log_sigma[0, i]))
    assert ambiguity_loss(predicted, target, log_sigma, shape).item() == pytest.approx(np.mean(expected))
    circles = ambiguity_loss(predicted, target, log_sigma, torch.zeros_like(shape)) + 2 * log_sigma.mean()
    assert circles.item() == pytest.approx(uncertainty_loss(predicted, log_sigma, target).item())


def test_shapes_learn_the_axes_of_scattered_labels_and_nothing_else_does():
    generator = torch.Generator().manual_seed(0)
    angle, ratio = 0.5, 4.0
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    target = (torch.randn(4000, 1, 2, generator=generator) * torch.tensor([0.04, 0.04 / ratio])) @ turn.T
    predicted = torch.zeros(4000, 1, 2, requires_grad=True)
    log_sigma = torch.full((4000, 1), -4.0, requires_grad=True)
    shape = torch.zeros(1, 1, 2, requires_grad=True)
    optimizer = torch.optim.Adam([shape], 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        ambiguity_loss(predicted, target, log_sigma, shape.expand(4000, 1, 2)).backward()
        optimizer.step()
    assert predicted.grad is None
    assert log_sigma.grad is None
    values, axes = principal_axes(shape[0, 0].detach())
    # Eigenvalues are variances of unit product: their ratio is the squared one of the deviations.
    assert (values[0] / values[1]).sqrt().item() == pytest.approx(ratio, rel=0.06)
    assert abs(axes[0] @ turn[:, 0]).item() == pytest.approx(1.0, abs=2e-3)
