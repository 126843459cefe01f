import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from atpn.train.losses.landmark import wing
from atpn.train.losses.teacher import sigma_divergence, weighted_wing


@pytest.fixture
def points():
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(2, 5, 2, generator=generator)
    predicted = target + 0.05 * torch.randn(2, 5, 2, generator=generator)
    sigma = 0.01 + 0.05 * torch.rand(2, 5, generator=generator)
    return predicted, target, sigma


def test_certain_targets_count_more(points):
    predicted, target, sigma = points
    terms = []
    for face in range(2):
        size = float((target[face].amax(dim=0) - target[face].amin(dim=0)).max())
        inverse = 1 / sigma[face]
        for landmark in range(5):
            error = 100 * (predicted[face, landmark] - target[face, landmark]) / size
            weight = inverse[landmark] / (inverse.sum() / 5)
            terms.append(float(weight * (wing(error[0]) + wing(error[1])) / 2))
    assert weighted_wing(predicted, target, sigma).item() == pytest.approx(np.mean(terms), rel=1e-5)
    even = torch.full_like(sigma, 0.3)
    assert weighted_wing(predicted, target, even) == weighted_wing(predicted, target, 2 * even)


def test_the_divergence_is_that_of_the_densities(points):
    predicted, target, sigma = points
    log_sigma = (1.5 * sigma).log()
    teacher = Independent(Normal(target, sigma[..., None].expand_as(target)), 1)
    student = Independent(Normal(predicted, 1.5 * sigma[..., None].expand_as(target)), 1)
    expected = kl_divergence(teacher, student).mean() / 2  # of two axes
    torch.testing.assert_close(sigma_divergence(predicted, log_sigma, target, sigma), expected)


def test_the_divergence_trains_sigma_alone_towards_the_teacher_s_and_the_distance(points):
    predicted, target, sigma = points
    predicted, log_sigma = predicted.requires_grad_(), torch.zeros(2, 5, requires_grad=True)
    optimizer = torch.optim.Adam([log_sigma], 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        sigma_divergence(predicted, log_sigma, target, sigma).backward()
        optimizer.step()
    assert predicted.grad is None
    distance = (predicted - target).detach().square().mean(dim=-1)
    torch.testing.assert_close(log_sigma.exp().detach(), (sigma.square() + distance).sqrt(), rtol=0.02, atol=1e-3)
