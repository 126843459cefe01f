"""Tiny networks over drawn faces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from atpn.data.crops import compute_mean_shape
from atpn.data.store import SampleStore
from atpn.model import save_checkpoint
from atpn.slpt.config import NETWORKS, SLPTConfig
from atpn.slpt.network import new_slpt

TINY = SLPTConfig(input_size=32, layers=2, dim=16, heads=2, channels=4, patch=3)


@pytest.fixture(scope="session")
def store(face_shards):
    return SampleStore.read(face_shards)


@pytest.fixture
def tiny_config():
    return TINY


@pytest.fixture
def make_slpt(store):
    """An untrained tiny network, `dslpt` unless told otherwise, whose outputs depend on its input."""

    def make(network="dslpt", **changes):
        config = replace(TINY, **{**NETWORKS[network], **changes})
        shape = torch.from_numpy(compute_mean_shape(store.landmarks[store.faces], store.scheme))
        model = new_slpt(config, shape, seed=0).eval()
        torch.nn.init.normal_(model.head.mean.weight, std=0.1)
        if model.head.log_sigma is not None:
            torch.nn.init.normal_(model.head.log_sigma.weight, std=0.1)
        return model

    return make


@pytest.fixture
def tiny_slpt(make_slpt, tmp_path):
    """A DSLPT's checkpoint."""
    path = tmp_path / "tiny_slpt.safetensors"
    save_checkpoint(path, make_slpt(), {"network": "dslpt", "stage": "none"})
    return path
