"""The detector's stage on drawn faces."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atpn.data.augment import NO_AUGMENT
from atpn.data.composites import Composite, CompositeConfig, Compositor
from atpn.data.store import SampleStore
from atpn.evaluate.matching import match_detections
from atpn.model import load_network
from atpn.model.detector import DetectorConfig, FaceDetector
from atpn.train import cli
from atpn.train.config import RECIPES, TrainConfig
from atpn.train.dataset import prepare
from atpn.train.detection import DetectionTask, detection_metrics, detection_targets
from edge_runtime.geometry import ROI


def image(regions, wanted=None, size=96):
    regions = np.array([(*region, 0.0)[:4] for region in regions], np.float32).reshape(-1, 4)
    wanted = np.ones(len(regions), bool) if wanted is None else np.array(wanted)
    return Composite(np.zeros((size, size, 3), np.uint8), regions, wanted)


def test_targets_peak_in_the_cell_of_each_center():
    targets = detection_targets(image([[0.26, 0.51, 0.2], [0.8, 0.3, 0.5, -2.0]]), 24)
    assert targets["centers"][12, 6] == 1
    assert targets["centers"][7, 19] == 1
    assert (targets["centers"] == 1).sum() == 2
    assert targets["regions"][12, 6] == pytest.approx([0.26, 0.51, 0.2])
    assert targets["regions"][7, 18] == pytest.approx([0.8, 0.3, 0.5])
    assert (targets["roll"][12, 6], targets["roll"][7, 18]) == pytest.approx((0.0, -2.0))
    # A Gaussian of 6 % of the region, 0.06 * 0.5 * 24 = 0.72 cells for the larger face.
    assert targets["centers"][7, 18] == pytest.approx(np.exp(-1 / (2 * 0.72**2)), rel=1e-5)
    assert (targets["region_weight"] > 0).sum() < 10
    assert targets["mask"].all()


def test_where_a_face_need_not_be_found_nothing_counts():
    targets = detection_targets(image([[0.3, 0.3, 0.3], [0.7, 0.7, 0.2]], [False, True]), 24)
    assert targets["mask"][7, 7] == 0
    assert targets["mask"][17, 17] == 1
    assert (targets["centers"] == 1).sum() == 1


def test_each_face_is_found_once():
    faces = image([[0.3, 0.3, 0.2], [0.7, 0.7, 0.2], [0.1, 0.9, 0.03]], [True, True, False])
    detections = [
        (0.9, ROI(0.3, 0.3, 0.2)),
        (0.8, ROI(0.3, 0.31, 0.2)),  # the same face again
        (0.7, ROI(0.1, 0.9, 0.03)),  # need not be found
        (0.6, ROI(0.5, 0.1, 0.2)),  # nothing there
    ]
    matches, missed = match_detections(detections, [ROI(*region) for region in faces.regions], faces.required)
    assert matches == [pytest.approx(1.0), 0.0, None, 0.0]
    assert missed == [1]


def test_figures_of_a_detector_that_knows(face_shards):
    store = SampleStore.read(face_shards)
    compositor = Compositor(store, store.faces, store.backgrounds, CompositeConfig(augment=NO_AUGMENT))
    images = [compositor.compose(96, np.random.default_rng(i)) for i in range(6)]

    class Knows(FaceDetector):
        def forward(self, image):
            targets = [detection_targets(p, 24) for p in images]
            scores = torch.tensor(np.stack([t["centers"] for t in targets]))
            regions = torch.tensor(np.stack([t["regions"] for t in targets]))
            roll = torch.tensor(np.stack([t["roll"] for t in targets]))
            turns = 3 * torch.stack([roll.sin(), roll.cos()], dim=-1)
            return type(super().forward(image))(torch.logit(scores.clamp(1e-4, 1 - 1e-4)), regions, turns)

    figures = detection_metrics(Knows(DetectorConfig(input_size=96)).eval(), images)
    assert figures["average_precision"] > 0.9
    assert figures["overlap"] > 0.99
    empty = detection_metrics(FaceDetector(DetectorConfig(input_size=96)).eval(), images)
    assert empty == {"average_precision": 0.0, "recall": 0.0, "overlap": 0.0}


@pytest.mark.slow
def test_the_stage_learns_and_resumes(face_shards, tmp_path, monkeypatch):
    recipe = replace(RECIPES["atpn", "detector"], batch_size=8, input_size=64, warmup_steps=2, lr=5e-3, ema_decay=0.9)
    monkeypatch.setattr(cli, "RECIPES", RECIPES | {("atpn", "detector"): recipe})
    options = {"workers": 0, "bfloat16": "off", "device": "cpu", "validation": 8}
    cli.run(TrainConfig("detector", (face_shards,), tmp_path, samples=80, **options))
    first, _ = load_network(tmp_path / "detector.safetensors", FaceDetector)
    cli.run(TrainConfig("detector", (face_shards,), tmp_path, samples=480, **options))
    model, metadata = load_network(tmp_path / "detector.safetensors", FaceDetector)
    assert metadata["samples"] == 480
    assert metadata["validation"].keys() == {"average_precision", "recall", "overlap"}
    assert model.config.input_size == 64
    task = DetectionTask(SampleStore.read(face_shards), recipe, seed=1)
    batch = prepare(next(iter(task.batches(64, 0))))
    with torch.no_grad():
        before, after = (task.loss(network.eval(), batch)[0].item() for network in (first, model))
    assert after < 0.8 * before


def test_the_thesis_has_no_detector(face_shards, tmp_path):
    with pytest.raises(ValueError, match="the thesis recipe has no stage detector"):
        cli.run(TrainConfig("detector", (face_shards,), tmp_path, recipe="thesis"))
