"""Orthogonalized steps."""

import pytest
import torch
from torch import nn

from atpn.train import state
from atpn.train.config import Recipe
from atpn.train.loop import make_optimizer
from atpn.train.muon import RMS, Muon, orthogonalized


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_orthogonalized_keeps_singular_vectors_and_levels_values(shape):
    torch.manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], min(shape)))
    right, _ = torch.linalg.qr(torch.randn(shape[1], min(shape)))
    values = torch.linspace(0.3, 3.0, min(shape))
    result = orthogonalized(left * values @ right.T)
    core = left.T @ result @ right
    assert torch.allclose(core, torch.diag(core.diag()), atol=1e-4)
    assert core.diag().min() > 0.5
    assert core.diag().max() < 1.3


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8)).to(
        memory_format=torch.channels_last
    )


def train(model, optimizer, steps):
    image = torch.rand(2, 4, 9, 9, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        model(image).square().mean().backward()
        optimizer.step()


RECIPE = Recipe(samples=1, optimizer="muon", lr=0.01, weight_decay=0.1)


def test_matrices_take_orthogonal_steps_and_the_rest_those_of_adamw():
    model, other = network(), network()
    optimizer = make_optimizer(model, RECIPE)
    assert isinstance(optimizer, Muon)
    train(model, optimizer, 1)
    train(other, torch.optim.AdamW(other.parameters(), 0.01, weight_decay=0.1), 1)
    assert torch.allclose(model[1].weight, other[1].weight)
    before = network()[0].weight
    step = (before * (1 - 0.01 * 0.1) - model[0].weight).flatten(1)
    # As long as AdamW's steps are, about: RMS of 0.2 per unit of rate; every direction of the 8 x 36 matrix alike.
    values = torch.linalg.svdvals(step) / (0.01 * RMS * 6)
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_steps_go_on_from_a_saved_state():
    unbroken, broken = network(), network()
    train(unbroken, make_optimizer(unbroken, RECIPE), 5)
    optimizer = make_optimizer(broken, RECIPE)
    train(broken, optimizer, 3)
    saved = {
        name: {key: value.clone() for key, value in moments.items()}
        for name, moments in state.moments_of(broken, optimizer).items()
    }
    resumed = make_optimizer(broken, RECIPE)
    state.restore_moments(broken, resumed, saved)
    train(broken, resumed, 2)
    for a, b in zip(unbroken.parameters(), broken.parameters(), strict=True):
        assert torch.equal(a, b)
