"""The shipped weights are what their card says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from atpn.data.afw import read_afw
from atpn.evaluate.afw import evaluate_afw
from atpn.evaluate.backend import CheckpointBackend
from atpn.evaluate.inference import predict
from atpn.evaluate.metrics import point_errors
from atpn.model import ATPN, load_checkpoint, load_network
from atpn.model.checkpoint import weights_sha256
from atpn.model.detector import FaceDetector
from atpn.train.detection import detection_metrics
from edge_runtime.spec import ModelSpec
from export.config import WEIGHTS_FOLDER
from export.crop_set import read_crop_set
from export.image_set import read_image_set

WEIGHTS = WEIGHTS_FOLDER / "atpn.safetensors"


@pytest.fixture(scope="module")
def model() -> ATPN:
    return load_checkpoint(WEIGHTS)[0]


@pytest.mark.parametrize("name", ["evaluation", "evaluation_cascade", "videos"])
def test_the_published_figures_are_of_these_weights(name):
    report = json.loads((WEIGHTS_FOLDER / f"{name}.json").read_text())
    assert report["weights_sha256"] == weights_sha256(WEIGHTS)


def test_the_card_says_what_the_reports_say():
    report = json.loads((WEIGHTS_FOLDER / "evaluation.json").read_text())
    for page in (WEIGHTS_FOLDER / "README.md", WEIGHTS_FOLDER.parent.parent / "README.md"):
        text = page.read_text()
        for figure in (report["afw"]["first"], report["rendered"]["landmarks_yaw_60"]):
            assert f"{100 * figure['nme']:.2f} %" in text, page


def test_the_weights_say_where_they_come_from():
    metadata = load_checkpoint(WEIGHTS)[1]
    assert metadata["finished"]
    assert {"data", "seed", "samples", "versions"} <= metadata.keys()


def test_held_out_renders_are_fitted(model):
    crops = read_crop_set(WEIGHTS_FOLDER / "heldout.npz")
    predicted = predict(model, crops.crops)
    faces = crops.has_face
    frontal = np.abs(crops.pose[faces][:, 1]) < np.radians(60)
    target = crops.landmarks[faces][frontal]
    errors = point_errors(predicted.landmarks[faces][frontal], target, crops.scheme.inter_ocular(target))
    assert errors.mean() < 0.055
    assert (predicted.confidence[faces] >= 0.7).mean() > 0.97
    assert (predicted.confidence[~faces] < 0.7).mean() > 0.9


def test_uncertainty_tells_faces_from_what_confidence_takes_for_them(model):
    crops = read_crop_set(WEIGHTS_FOLDER / "heldout.npz")
    predicted, limit = predict(model, crops.crops), ModelSpec.uncertainty_threshold
    spread = predicted.uncertainty.mean(axis=1)
    assert (spread[crops.has_face] <= limit).mean() > 0.95
    assert not (spread[~crops.has_face] <= limit)[predicted.confidence[~crops.has_face] >= 0.7].any()


def test_the_detector_finds_held_out_people():
    detector, metadata = load_network(WEIGHTS_FOLDER / "detector.safetensors", FaceDetector)
    assert metadata["finished"]
    images = read_image_set(WEIGHTS_FOLDER / "detector_heldout.npz").composites
    figures = detection_metrics(detector, images)
    assert figures["average_precision"] > 0.9
    assert figures["overlap"] > 0.73


@pytest.mark.slow
def test_real_faces_are_fitted_although_none_was_seen(model, real_faces):
    report = evaluate_afw(CheckpointBackend(model), list(read_afw(real_faces / "afw")), heads=False)
    published = json.loads((WEIGHTS_FOLDER / "evaluation.json").read_text())["afw"]["first"]["nme"]
    assert report["first"]["nme"] < 0.058
    assert report["first"]["nme"] == pytest.approx(published, abs=2e-4)
