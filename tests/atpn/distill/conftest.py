"""Drawn faces with dense points, and tiny networks for them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from atpn.data.shards import DENSE_FILE, write_shard
from atpn.model import ATPN, ATPNConfig, save_checkpoint
from atpn.tufa.config import TUFAConfig
from atpn.tufa.network import new_tufa

ROWS = (54, 57, 60, 64, 68, 72, 76, 82, 79, 85, 35, 44)
"""Landmarks that serve as dense points."""
TINY = TUFAConfig("patches", input_size=48, patch=16, dim=16, depth=1, heads=2, decoder_depth=1)


@pytest.fixture(scope="session")
def mean_shape(draw_sample):
    """(98, 2) about where the drawn faces' landmarks lie in their crops."""
    face = draw_sample(np.random.default_rng(0), angles=np.zeros(3)).landmarks
    low, high = face.min(axis=0), face.max(axis=0)
    return (0.17 + 0.66 * (face - low) / (high - low)).astype(np.float32)


@pytest.fixture(scope="session")
def dense_shards(tmp_path_factory, draw_sample, mean_shape):
    """24 drawn faces, every other one with dense points."""
    folder, rng = tmp_path_factory.mktemp("dense"), np.random.default_rng(0)
    samples = []
    for i in range(24):
        sample = draw_sample(rng, f"face-{i:05d}")
        if i % 2 == 0:
            known = {"dense": sample.landmarks[list(ROWS)], "dense_visibility": np.ones(len(ROWS), bool)}
            sample = replace(sample, **known, attributes={**sample.attributes, "head": "drawn"})
        samples.append(sample)
    write_shard(folder / "faces-000000.tar", samples)
    (folder / DENSE_FILE).write_text(json.dumps({"drawn": mean_shape[list(ROWS)].tolist()}))
    return folder


@pytest.fixture(scope="session")
def tiny_atpn(tmp_path_factory, mean_shape):
    """An untrained network's checkpoint."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("atpn") / "tiny.safetensors"
    model = ATPN(ATPNConfig(width=0.25, input_size=48), torch.from_numpy(mean_shape))
    save_checkpoint(path, model, {"stage": "none"})
    return path


@pytest.fixture(scope="session")
def tiny_tufa(tmp_path_factory, mean_shape):
    """An untrained teacher's checkpoint."""
    path = tmp_path_factory.mktemp("tufa") / "tiny.safetensors"
    teacher = new_tufa(TINY, {"wflw98": mean_shape}, 0)
    with torch.no_grad():
        teacher.decoder.read[-1].bias.copy_(torch.tensor([0.08, -0.05]))  # all points right and up of the plane's
    save_checkpoint(path, teacher, {"stage": "none"})
    return path
