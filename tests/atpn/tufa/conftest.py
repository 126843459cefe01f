"""Tiny networks, drawn faces with dense points, and a rendered face in an image."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from atpn.data.crops import compute_mean_shape
from atpn.data.shards import DENSE_FILE, write_shard
from atpn.data.store import SampleStore
from atpn.model import save_checkpoint
from atpn.tufa.anchors import converted
from atpn.tufa.config import TUFAConfig
from atpn.tufa.network import new_tufa
from edge_runtime.landmarks import WFLW_98

_PATH = Path(__file__).parents[1] / "data" / "conftest.py"
_spec = importlib.util.spec_from_file_location("replicas", _PATH)
_replicas = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_replicas)
replica = _replicas.replica
"""The datasets' replicas, as the readers' tests write them."""

TINY = TUFAConfig("patches", input_size=32, patch=16, dim=32, depth=1, heads=2, decoder_depth=1)
DENSE_OF_98 = np.arange(0, 98, 3)
"""Landmarks that stand in for dense points."""


@pytest.fixture(scope="session")
def dense_shards(tmp_path_factory, draw_sample):
    """A folder of 24 drawn faces, 16 of them with dense points."""
    folder, rng = tmp_path_factory.mktemp("dense"), np.random.default_rng(0)
    samples = [draw_sample(rng, f"face-{i:05d}", 96) for i in range(24)]
    mean = compute_mean_shape(np.stack([sample.landmarks for sample in samples]), WFLW_98)
    for i in range(16):
        about = {**samples[i].attributes, "head": "drawn"}
        seen = np.ones(len(DENSE_OF_98), bool)
        dense = samples[i].landmarks[DENSE_OF_98]
        samples[i] = replace(samples[i], dense=dense, dense_visibility=seen, attributes=about)
    write_shard(folder / "faces-000000.tar", samples)
    (folder / DENSE_FILE).write_text(json.dumps({"drawn": mean[DENSE_OF_98].tolist()}))
    return folder


@pytest.fixture(scope="session")
def store(dense_shards):
    return SampleStore.read(dense_shards)


@pytest.fixture
def tiny(store):
    """An untrained network that knows three schemes."""
    mean = compute_mean_shape(store.landmarks, WFLW_98)
    return new_tufa(TINY, {name: converted(mean, name) for name in ("wflw98", "ibug68", "cofw29")}, seed=0).eval()


@pytest.fixture
def tiny_tufa(tiny, tmp_path):
    """The same as a checkpoint."""
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, tiny, {"sources": ["wflw98", "ibug68", "cofw29"], "stage": "none"})
    return path


@pytest.fixture
def portrait_file(portrait, tmp_path):
    path = tmp_path / "portrait.png"
    cv2.imwrite(str(path), portrait.image[:, :, ::-1])
    return path
