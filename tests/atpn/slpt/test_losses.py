"""Losses against densities of scipy and loops over stages, layers, and landmarks."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from atpn.slpt.losses import distance_loss, gaussian_nll, laplace_nll, likelihood_loss
from atpn.slpt.network import Stage

CROPS, LANDMARKS, LAYERS, STAGES = 2, 4, 3, 2


@pytest.fixture
def stages():
    generator = torch.Generator().manual_seed(3)

    def uniform(*shape):
        return torch.rand(*shape, generator=generator)

    return [
        Stage(
            uniform(CROPS, LANDMARKS, 2) * 0.8,
            0.1 + 0.1 * uniform(CROPS, LANDMARKS, 1),
            uniform(LAYERS, CROPS, LANDMARKS, 2),
            (0.05 + 0.3 * uniform(LAYERS, CROPS, LANDMARKS, 2)).log(),
            [],
        )
        for _ in range(STAGES)
    ]


@pytest.fixture
def target():
    return torch.rand(CROPS, LANDMARKS, 2, generator=torch.Generator().manual_seed(4))


DENSITIES = {
    "gaussian": lambda label, mean, sigma: stats.norm.logpdf(label, mean, sigma) + 0.5 * math.log(2 * math.pi),
    # A Laplace density of scale b has the standard deviation sqrt(2) b.
    "laplace": lambda label, mean, sigma: stats.laplace.logpdf(label, mean, sigma / math.sqrt(2)) + 0.5 * math.log(2),
}


@pytest.mark.parametrize(("nll", "kind"), [(gaussian_nll, "gaussian"), (laplace_nll, "laplace")])
def test_likelihoods_are_those_of_densities_with_this_standard_deviation(nll, kind):
    error = torch.linspace(-2, 2, 9)
    found = nll(error, torch.tensor(0.3).log())
    np.testing.assert_allclose(found.numpy(), -DENSITIES[kind](error.numpy(), 0.0, 0.3), rtol=1e-5)


@pytest.mark.parametrize("nll", [gaussian_nll, laplace_nll])
def test_the_likeliest_sigma_is_the_standard_deviation(nll):
    rng = np.random.default_rng(0)
    draws = rng.normal(0, 0.2, 20_000) if nll is gaussian_nll else rng.laplace(0, 0.2 / math.sqrt(2), 20_000)
    candidates = np.linspace(0.1, 0.3, 201)
    error = torch.from_numpy(draws)
    means = [nll(error, torch.tensor(math.log(sigma))).mean().item() for sigma in candidates]
    assert candidates[int(np.argmin(means))] == pytest.approx(0.2, abs=0.004)


@pytest.mark.parametrize("kind", ["gaussian", "laplace"])
def test_the_likelihood_is_in_patch_units_of_every_stage_and_layer(stages, target, kind):
    """Equations 5.8 to 5.10, averaged."""
    terms = []
    for stage in stages:
        for layer, crop, landmark, axis in np.ndindex(LAYERS, CROPS, LANDMARKS, 2):
            corner, side = stage.corners[crop, landmark, axis], stage.side[crop, landmark, 0]
            place = (target[crop, landmark, axis] - corner) / side
            mean, log_sigma = (values[layer, crop, landmark, axis] for values in (stage.mean, stage.log_sigma))
            terms.append(-DENSITIES[kind](float(place), float(mean), math.exp(log_sigma)))
    assert likelihood_loss(stages, target, kind).item() == pytest.approx(np.mean(terms), rel=1e-5)


@pytest.mark.parametrize(("kind", "order"), [("l1", 1), ("l2", 2)])
def test_the_distance_is_over_the_face_s_size(stages, target, kind, order):
    """Equation 4.8."""
    size, terms = torch.tensor([0.3, 0.5]), []
    for stage in stages:
        for layer, crop, landmark in np.ndindex(LAYERS, CROPS, LANDMARKS):
            place = stage.corners[crop, landmark] + stage.side[crop, landmark] * stage.mean[layer, crop, landmark]
            error = (place - target[crop, landmark]).numpy()
            terms.append(float(np.linalg.norm(error, ord=order)) / float(size[crop]))
    assert distance_loss(stages, target, kind, size).item() == pytest.approx(np.mean(terms), rel=1e-5)


@pytest.mark.parametrize("kind", ["gaussian", "l2"])
def test_landmarks_without_a_label_do_not_count(stages, target, kind):
    def loss(stages, target):
        if kind == "gaussian":
            return likelihood_loss(stages, target, kind)
        return distance_loss(stages, target, kind, torch.ones(CROPS))

    kept = [Stage(s.corners[:, 1:], s.side[:, 1:], s.mean[:, :, 1:], s.log_sigma[:, :, 1:], []) for s in stages]
    expected = loss(kept, target[:, 1:])
    target[:, 0] = torch.nan
    mean = stages[0].mean.clone().requires_grad_()
    found = loss([stages[0]._replace(mean=mean), *stages[1:]], target)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    assert torch.isfinite(mean.grad).all()
    assert not mean.grad[:, :, 0].any()
