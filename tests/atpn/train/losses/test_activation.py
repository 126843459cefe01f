import pytest
import torch

from atpn.train.losses.activation import ACTIVATION_LIMIT, activation_penalty


def test_range_loss_is_what_lies_beyond_the_limit():
    limit = ACTIVATION_LIMIT
    inside = torch.tensor([[-limit, 0.0, limit]])
    beyond = torch.tensor([[limit + 3.0, -limit - 1.0], [0.5, 2.0]], requires_grad=True)
    loss = activation_penalty([inside, beyond])
    assert loss.item() == pytest.approx((3.0 + 1.0) / 4)
    loss.backward()
    assert torch.equal(beyond.grad, torch.tensor([[0.25, -0.25], [0.0, 0.0]]))
