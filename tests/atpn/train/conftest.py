"""A network and photographs to measure with."""

from __future__ import annotations

import json

import cv2
import pytest
import torch

from atpn.data.store import SampleStore
from atpn.model import ATPN, ATPNConfig, save_checkpoint
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory):
    """An untrained network: its landmarks are about the mean shape."""
    torch.manual_seed(0)
    shape = torch.rand(98, 2) * 0.6 + 0.2
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, ATPN(ATPNConfig(width=0.25, input_size=48), shape), {"stage": "none"})
    return path


@pytest.fixture(scope="session")
def drawn_afw(tmp_path_factory, face_shards):
    """Three drawn faces in AFW's layout."""
    folder = tmp_path_factory.mktemp("afw")
    store, labels = SampleStore.read(face_shards), []
    for i in range(3):
        sample = store[i]
        cv2.imwrite(str(folder / f"{i}.png"), sample.image[:, :, ::-1])
        points = convert(sample.landmarks, WFLW_98, IBUG_68).tolist()
        labels.append({"image": f"{i}.png", "width": 160, "height": 160, "faces": [{"landmarks": points}]})
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder
