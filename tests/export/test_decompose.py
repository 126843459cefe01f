from __future__ import annotations

import torch
from torch import nn

from atpn.model.blocks import InvertedResidual
from atpn.model.layers import CoordConv, HardSwish
from export.formats.decompose import decompose_hard_swish, fold_constants


def test_decomposed_hard_swish_equals_torch():
    x = torch.linspace(-8, 8, 1001)
    network = nn.Sequential(HardSwish())
    decompose_hard_swish(network)
    assert not isinstance(network[0], HardSwish)
    torch.testing.assert_close(network(x), nn.Hardswish()(x))


def test_squeeze_excite_stays_the_same_when_decomposed():
    torch.manual_seed(6)
    x = torch.randn(2, 16, 8, 8)
    for squeeze in (True, False):
        for activation in (HardSwish, nn.ReLU):
            block = nn.Sequential(InvertedResidual(16, 32, 24, squeeze=squeeze, activation=activation)).eval()
            before = block(x)
            decompose_hard_swish(block)
            torch.testing.assert_close(block(x), before, rtol=1e-4, atol=1e-5)


def test_folding_coordinates_changes_nothing():
    torch.manual_seed(3)
    layer = CoordConv(6, 8, grid=14, kernel=3, stride=2).eval()
    nn.init.uniform_(layer.norm.running_mean)
    nn.init.uniform_(layer.norm.running_var, 0.5, 1.5)
    nn.init.uniform_(layer.norm.weight)
    nn.init.uniform_(layer.norm.bias)
    x = torch.randn(2, 6, 14, 14)
    before = layer(x)
    fold_constants(layer)
    torch.testing.assert_close(layer(x), before, rtol=1e-4, atol=1e-5)
