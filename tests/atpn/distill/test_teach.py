"""`python -m atpn teach`, whole and in parts."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from atpn.__main__ import main
from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import NO_JITTER
from atpn.data.store import SampleStore
from atpn.distill import teach
from atpn.distill.images import UnlabeledFaces
from atpn.distill.landmarks import JoinedFaces, TaughtLandmarks, covered_metrics
from atpn.distill.teach import RECIPE, TeachConfig, run
from atpn.evaluate.crops import validation_batch
from atpn.model import load_checkpoint, load_network, save_checkpoint
from atpn.slpt.config import SLPTConfig
from atpn.slpt.network import SLPT, new_slpt
from atpn.train.dataset import prepare
from atpn.weights import SHIPPED


@pytest.fixture
def make_teacher(mean_shape, tmp_path):
    """Writes a tiny DSLPT that finds all landmarks right of and below the mean shape."""

    def make(**changes):
        config = replace(SLPTConfig(input_size=64, layers=1, dim=8, heads=2, channels=4, patch=3), **changes)
        teacher = new_slpt(config, torch.from_numpy(mean_shape), 0)
        with torch.no_grad():
            teacher.head.mean.bias.copy_(torch.tensor([0.7, 0.6]))
        path = tmp_path / "teacher.safetensors"
        save_checkpoint(path, teacher, {})
        return path

    return make


def options(tmp_path, teacher, weights, **changes):
    usual = {"samples": 32, "batch_size": 8, "workers": 0, "bfloat16": "off", "device": "cpu", "validation": 4}
    return TeachConfig(teacher=teacher, out=tmp_path / "run", weights=weights, **(usual | changes))


def test_the_student_comes_nearer_to_its_teacher(dense_shards, tiny_atpn, make_teacher, tmp_path):
    teacher = make_teacher()
    report = run(options(tmp_path, teacher, tiny_atpn, data=dense_shards, samples=240, lr=0.01))
    assert {"all", "visible", "rank_correlation"} <= set(report["after"])
    after, metadata = load_checkpoint(tmp_path / "run" / "landmarks.safetensors")
    before, _ = load_checkpoint(tiny_atpn)
    assert metadata["taught"]["faces"] < 24
    store = SampleStore.read(dense_shards)
    shape = before.mean_shape.numpy()
    network = load_network(teacher, SLPT)[0]
    large, small = (
        validation_batch(store, store.faces, shape, size)["image"].permute(0, 3, 1, 2).float() for size in (64, 48)
    )
    with torch.no_grad():
        wanted, found = network(large), [model(small) for model in (before, after)]
    squared = [(each.landmarks - wanted.landmarks).square().mean(dim=-1) for each in found]
    assert squared[1].mean() < 0.4 * squared[0].mean()
    # The student's variance becomes the teacher's and its own distance from the teacher.
    fitting = [(wanted.uncertainty.square() + each).sqrt() for each in squared]
    ratios = [(each.uncertainty / fit).log().abs().mean() for each, fit in zip(found, fitting, strict=True)]
    assert ratios[1] < 0.5 * ratios[0]
    # The other branches stay valid: what they read did not change.
    for part in ("backbone", "tracking_branch", "pose_branch"):
        ours, theirs = (getattr(model, part).state_dict() for model in (after, before))
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items()), part


def test_a_user_s_pictures_teach_without_labels(portrait, make_teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(teach, "default_detector", lambda: portrait)
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), portrait.image[:, :, ::-1])
    report = run(options(tmp_path, make_teacher(), SHIPPED, images=(folder,), samples=8))
    assert report == {"before": {}, "teacher": {}, "after": {}}
    description = json.loads((tmp_path / "run" / "landmarks.json").read_text())
    assert description["metadata"]["taught"]["faces"] == 3


def test_teacher_and_student_see_the_same_face(dense_shards, mean_shape, make_teacher):
    store = SampleStore.read(dense_shards)
    sample = store[0]
    faces = JoinedFaces([(store, np.arange(4)), (UnlabeledFaces([sample]), np.arange(1))])
    assert len(faces) == 5
    assert faces[4] is sample
    recipe = replace(RECIPE, batch_size=5, jitter=NO_JITTER, augment=NO_AUGMENT)
    task = TaughtLandmarks(load_network(make_teacher(), SLPT)[0], faces, recipe, 0)
    task.mean_shape = mean_shape
    batch = next(iter(task.batches(32, 0)))
    assert batch["image"].shape == (5, 32, 32, 3)
    assert batch["clean"].shape == (5, 64, 64, 3)
    for small, large in zip(batch["image"].numpy(), batch["clean"].numpy(), strict=True):
        np.testing.assert_array_equal(small, cv2.resize(large, (32, 32), interpolation=cv2.INTER_AREA))
    assert prepare(batch)["clean"].dtype == torch.uint8


def test_covered_landmarks_are_measured_apart(dense_shards, tiny_atpn):
    store, (model, _) = SampleStore.read(dense_shards), load_checkpoint(tiny_atpn)
    store.visibility[store.faces, 76:] = False
    faces = store.faces[:6]
    batch = validation_batch(store, faces, model.mean_shape.numpy(), 48)
    found = covered_metrics(model, batch, store, faces)
    with torch.no_grad():
        landmarks = model(batch["image"].permute(0, 3, 1, 2).float()).landmarks
    errors = (landmarks - batch["landmarks"]).norm(dim=-1)
    errors = errors / (batch["landmarks"][:, 60] - batch["landmarks"][:, 72]).norm(dim=-1)[:, None]
    facing = batch["pose"][:, 1].abs() <= np.radians(60)
    assert found["covered"] == pytest.approx(float(errors[facing][:, 76:].mean()), rel=1e-4)
    assert found["visible"] == pytest.approx(float(errors[facing][:, :76].mean()), rel=1e-4)
    assert found["all"] == pytest.approx(float(errors[facing].mean()), rel=1e-4)


def test_an_slpt_cannot_teach(make_teacher, tiny_atpn, dense_shards, tmp_path):
    path = make_teacher(loss="l2", max_shrink=0.5)
    with pytest.raises(ValueError, match="predicts no uncertainty"):
        run(options(tmp_path, path, tiny_atpn, data=dense_shards))


def test_without_data_there_is_nothing_to_teach_on(tmp_path, capsys):
    assert main(["teach", "--teacher", "none.safetensors", "--out", str(tmp_path)]) == 1
    assert "give --data with renders" in capsys.readouterr().err
