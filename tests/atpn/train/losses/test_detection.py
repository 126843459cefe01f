import numpy as np
import pytest
import torch

from atpn.train.losses.detection import focal_loss, region_loss


def test_focal_loss_follows_its_formula():
    logits = torch.tensor([[[2.0, -1.0], [0.5, 3.0]]], dtype=torch.float64)
    target = torch.tensor([[[1.0, 0.4], [0.0, 0.0]]], dtype=torch.float64)
    mask = torch.tensor([[[1.0, 1.0], [1.0, 0.0]]], dtype=torch.float64)
    p = 1 / (1 + np.exp(-logits.numpy()[0]))
    expected = (1 - p[0, 0]) ** 2 * np.log(p[0, 0])
    expected += 0.6**4 * p[0, 1] ** 2 * np.log(1 - p[0, 1]) + p[1, 0] ** 2 * np.log(1 - p[1, 0])
    assert focal_loss(logits, target, mask).item() == pytest.approx(-expected)


def test_region_loss_counts_in_sizes_of_the_face():
    target = torch.tensor([0.5, 0.5, 0.2]).expand(1, 1, 2, 3)
    predicted = torch.tensor([[[[0.52, 0.49, 0.4], [9.0, 9.0, 9.0]]]])
    weight = torch.tensor([[[1.0, 0.0]]])
    expected = (0.02 + 0.01) / 0.2 + np.log(2)
    assert region_loss(predicted, target, weight).item() == pytest.approx(expected, rel=1e-5)
