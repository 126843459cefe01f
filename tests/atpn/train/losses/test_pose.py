import math

import pytest
import torch

from atpn.train.losses.pose import pose_loss


def test_pose_losses():
    target = torch.tensor([[0.1, 1.5, -0.2]], dtype=torch.float64)
    off = target + torch.tensor([[0.3, 0.0, -0.4]], dtype=torch.float64)
    assert pose_loss(off, target, "thesis").item() == pytest.approx(0.5 / 3)
    assert pose_loss(off, target, "angles", knee=0.05).item() == pytest.approx((0.275 + 0.375) / 3)
    # Angles wrap: just left and just right of half a turn are near.
    near = pose_loss(torch.tensor([[0, math.pi - 0.01, 0]]), torch.tensor([[0, 0.01 - math.pi, 0]]))
    assert near.item() == pytest.approx(0.02**2 / 0.05 / 2 / 3, rel=1e-3)
