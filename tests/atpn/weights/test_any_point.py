"""The shipped prompt head and teacher find points as well as their card says."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from atpn.evaluate.metrics import point_errors
from atpn.model import load_checkpoint, load_network
from atpn.templates.anchors import AnchoredNetwork
from atpn.tufa.inference import predict_plane
from atpn.tufa.network import TUFA
from atpn.weights import SHIPPED, SHIPPED_PROMPTS, SHIPPED_TUFA
from edge_runtime.landmarks import WFLW_98
from edge_runtime.template import Template
from export.config import WEIGHTS_FOLDER
from export.crop_set import read_crop_set


@pytest.fixture(scope="module")
def faces():
    """Held-out crops of faces up to 60° of yaw: crops, landmarks, eye distances."""
    crops = read_crop_set(WEIGHTS_FOLDER / "heldout.npz")
    facing = crops.has_face & ~(np.abs(crops.pose[:, 1]) > np.radians(60))
    landmarks = crops.landmarks[facing]
    return crops.crops[facing], landmarks, WFLW_98.inter_ocular(landmarks)


@pytest.fixture(scope="module")
def own_error(faces):
    """NME of the shipped network's own landmarks, and the vectors that it reads them from."""
    crops, landmarks, size = faces
    model = load_checkpoint(SHIPPED)[0]
    with torch.no_grad():
        vectors = model.face_embedding(torch.from_numpy(crops).permute(0, 3, 1, 2).float())
        own = model.landmark_branch.read_vector(vectors)[0].numpy()
    return point_errors(own, landmarks, size).mean(), vectors


def test_the_prompt_heads_network_is_the_shipped_one():
    prompted, shipped = load_checkpoint(SHIPPED_PROMPTS)[0].with_head(None), load_checkpoint(SHIPPED)[0]
    for name, value in shipped.state_dict().items():
        assert torch.equal(prompted.state_dict()[name], value), name


def test_landmarks_asked_as_prompts_are_as_good_as_landmarks(faces, own_error):
    _, landmarks, size = faces
    error, vectors = own_error
    head = load_checkpoint(SHIPPED_PROMPTS)[0].point_head
    anchors = torch.from_numpy(AnchoredNetwork.read(SHIPPED_PROMPTS).of(WFLW_98)).float()
    with torch.no_grad():
        asked, log_sigma = head(vectors, anchors)
    assert point_errors(asked.numpy(), landmarks, size).mean() < 1.07 * error
    distance = np.linalg.norm(asked.numpy() - landmarks, axis=-1).mean()
    assert 0.5 < distance / (1.25 * float(log_sigma.exp().mean())) < 1.5  # Rayleigh: mean distance 1.25 sigma


@pytest.mark.slow
def test_the_teacher_finds_every_scheme_and_templates(faces, own_error):
    crops, landmarks, size = faces
    teacher = load_network(SHIPPED_TUFA, TUFA)[0]
    found = predict_plane(teacher, crops, teacher.anchors("wflw98").numpy())
    assert point_errors(found, landmarks, size).mean() < 1.15 * own_error[0]


@pytest.mark.parametrize("name", ["lips", "eyes_brows", "makeup"])
def test_example_templates_load(name):
    template = Template.read(WEIGHTS_FOLDER.parent / "templates" / f"{name}.json")
    assert len(template.points) in (12, 20, 36)


def test_the_figures_of_heads_are_in_the_docs():
    report = json.loads((WEIGHTS_FOLDER / "heads.json").read_text())
    text = (WEIGHTS_FOLDER.parent.parent / "docs" / "results" / "points.md").read_text()
    for entry in report["templates"].values():
        for place in ("rendered", "afw"):
            for value in entry.get(place, {}).values():
                assert f"{100 * value:.2f}" in text
