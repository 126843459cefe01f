from __future__ import annotations

import pytest
import torch

from atpn.model import ATPN, ATPNConfig


@pytest.fixture
def tiny_model():
    """A small network with batch-norm statistics that are not the initial ones."""
    torch.manual_seed(0)
    config = ATPNConfig(width=0.25)
    model = ATPN(config, torch.rand(config.landmark_count, 2))
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_mean"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.5)
        elif name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return model.eval()


@pytest.fixture
def images():
    return torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(2)) * 255
