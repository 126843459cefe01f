"""Networks with anchors, and photographs: rendered crops that come with the weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from atpn.model import ATPN, load_checkpoint, save_checkpoint
from atpn.model.point_head import PromptHead
from atpn.templates import cli
from atpn.tufa.config import SIZES
from atpn.tufa.network import new_tufa
from atpn.weights import SHIPPED
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert
from export.config import WEIGHTS_FOLDER
from export.crop_set import read_crop_set


class FixedDetector:
    """Finds faces at given places."""

    def __init__(self, rois: list[ROI]) -> None:
        self.rois = rois

    def detect(self, frame: np.ndarray) -> list[ROI]:
        return self.rois


@pytest.fixture(scope="session")
def model() -> ATPN:
    return load_checkpoint(SHIPPED)[0]


@pytest.fixture(scope="session")
def anchors(model) -> np.ndarray:
    """(98, 2), beside the mean shape."""
    return model.mean_shape.numpy() + np.float32([0.0, 0.02])


@pytest.fixture(scope="session")
def prompt_weights(model, anchors, tmp_path_factory) -> Path:
    """An ATPN with learned anchors and a prompt head that has learned nothing yet."""
    path = tmp_path_factory.mktemp("prompts") / "prompts.safetensors"
    torch.manual_seed(0)
    save_checkpoint(path, model.with_head(PromptHead(512, 8)), {"anchors": {"wflw98": anchors.tolist()}})
    return path


@pytest.fixture(scope="session")
def tufa_weights(anchors, tmp_path_factory) -> Path:
    """An untrained TUFA whose alignment moves every anchor of wflw98 down by 0.01; ibug68 has anchors of its own."""
    path = tmp_path_factory.mktemp("tufa") / "tufa.safetensors"
    config = replace(SIZES["small"], dim=24, depth=1, decoder_depth=1)
    network = new_tufa(config, {"wflw98": anchors, "ibug68": convert(anchors, WFLW_98, IBUG_68) + 0.005}, seed=0)
    with torch.no_grad():
        network.alignment.weight[1:99, 1] = 0.01
    save_checkpoint(path, network, {})
    return path


@pytest.fixture(scope="session")
def portrait(tmp_path_factory) -> Path:
    """A rendered face from the front that fills its image, 112 pixels wide, as its region does."""
    crops = read_crop_set(WEIGHTS_FOLDER / "heldout.npz")
    turned = np.nan_to_num(np.abs(crops.pose).max(axis=1), nan=np.inf)
    path = tmp_path_factory.mktemp("photographs") / "portrait.png"
    cv2.imwrite(str(path), crops.crops[turned.argmin()][:, :, ::-1])
    return path


@pytest.fixture
def detected(monkeypatch) -> FixedDetector:
    """The detector of the commands, which finds the portrait's face."""
    detector = FixedDetector([ROI(55.5, 55.5, 112.0)])
    monkeypatch.setattr(cli, "default_detector", lambda: detector)
    return detector
