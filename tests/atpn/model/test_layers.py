from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from atpn.model.blocks import InvertedResidual, Multiview
from atpn.model.layers import (
    CoordConv,
    GlobalDepthwise,
    SqueezeExcite,
    coordinate_grid,
)


def test_squeeze_excite_gates_each_channel_by_the_means():
    torch.manual_seed(0)
    layer = SqueezeExcite(16)
    x = torch.randn(2, 16, 5, 5)
    means = x.numpy().mean(axis=(2, 3))
    reduce, expand = (m.weight.detach().numpy()[:, :, 0, 0] for m in (layer.reduce, layer.expand))
    hidden = np.maximum(means @ reduce.T + layer.reduce.bias.detach().numpy(), 0)
    gates = np.clip((hidden @ expand.T + layer.expand.bias.detach().numpy() + 3) / 6, 0, 1)
    np.testing.assert_allclose(layer(x).detach().numpy(), x.numpy() * gates[:, :, None, None], rtol=1e-4, atol=1e-5)


def test_coordinate_grid_holds_cell_centers():
    grid = coordinate_grid(4)[0]
    np.testing.assert_allclose(grid[0, 2], [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(grid[1, :, 2], [-0.75, -0.25, 0.25, 0.75])


def _random_coord_conv(stride):
    torch.manual_seed(3)
    layer = CoordConv(6, 8, grid=14, kernel=3, stride=stride).eval()
    nn.init.uniform_(layer.norm.running_mean)
    nn.init.uniform_(layer.norm.running_var, 0.5, 1.5)
    nn.init.uniform_(layer.norm.weight)
    nn.init.uniform_(layer.norm.bias)
    return layer


def test_coord_conv_equals_concatenated_coordinates():
    for stride in (1, 2):
        layer = _random_coord_conv(stride)
        x = torch.randn(2, 6, 14, 14)
        stacked = torch.cat([x, coordinate_grid(14).expand(2, 2, 14, 14)], dim=1)
        weight = torch.cat([layer.features.weight, layer.position.weight], dim=1)
        expected = F.hardswish(layer.norm(F.conv2d(stacked, weight, stride=stride, padding=1)))
        torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_global_depthwise_is_a_weighted_sum_per_channel():
    torch.manual_seed(4)
    layer = GlobalDepthwise(5, 7)
    nn.init.normal_(layer.bias)
    x = torch.randn(3, 5, 7, 7)
    expected = np.einsum("bchw,chw->bc", x.numpy(), layer.weight.detach().numpy()[:, 0]) + layer.bias.detach().numpy()
    for training in (True, False):
        np.testing.assert_allclose(layer.train(training)(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    layer.eval().channels_last = True
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_resampled_global_depthwise_keeps_the_sum_over_a_flat_map():
    torch.manual_seed(5)
    layer = GlobalDepthwise(4, 4)
    nn.init.uniform_(layer.weight, 0.5, 1.0)
    nn.init.normal_(layer.bias)
    other = layer.resampled(8)
    torch.testing.assert_close(layer(torch.ones(1, 4, 4, 4)), other(torch.ones(1, 4, 8, 8)), rtol=0.02, atol=0.02)


def test_inverted_residual_shapes_and_shortcut():
    x = torch.randn(2, 16, 8, 8)
    assert InvertedResidual(16, 32, 24, stride=2)(x).shape == (2, 24, 4, 4)
    assert InvertedResidual(16, 32, 24, squeeze=True)(x).shape == (2, 24, 8, 8)
    block = InvertedResidual(16, 32, 16).eval()
    project = block.layers[-1]
    nn.init.zeros_(project[0].weight)
    torch.testing.assert_close(block(x), x)


def test_multiview_sees_three_neighborhoods():
    torch.manual_seed(6)
    block = Multiview(16).eval()
    x = torch.randn(1, 16, 15, 15)
    poked = x.clone()
    poked[0, :, 7, 7] += 5.0
    changed = (block(poked) - block(x)).abs().amax(dim=0, keepdim=True)
    reach = []
    for channels in (slice(0, 8), slice(8, 12), slice(12, 16)):
        rows = torch.nonzero(changed[0, channels].amax(dim=(0, 2)) > 1e-7)
        reach.append(int(rows.max() - rows.min()) + 1)
    assert reach == [3, 5, 7]
