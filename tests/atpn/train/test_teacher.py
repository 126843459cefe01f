"""The landmark stage with a trained network's landmarks as a second target, and the recipe of ATPN-lite."""

from dataclasses import replace

import pytest
import torch

from atpn.data.store import SampleStore
from atpn.model import ATPNConfig, load_checkpoint, save_checkpoint
from atpn.train import cli
from atpn.train.config import RECIPES, TrainConfig
from atpn.train.landmarks import LandmarkTask, new_model
from atpn.train.loop import prepare
from atpn.train.losses.landmark import wing_loss
from edge_runtime.landmarks import IBUG_68


@pytest.fixture
def teacher(face_shards):
    store = SampleStore.read(face_shards)
    model = new_model(store, store.faces, 0.25, 48, seed=1)
    torch.nn.init.normal_(model.landmark_branch.residual.weight, std=0.01)
    return model.eval()


def loss_parts(store, teacher, size, **changes):
    recipe = replace(RECIPES["lite", "landmarks"], input_size=size, batch_size=8, **changes)
    task = LandmarkTask(store, recipe, 0, teacher=teacher)
    model = new_model(store, store.faces, 0.25, size, seed=0, network=recipe.network).train()
    task.begin(model)
    batch = prepare(next(iter(task.batches(size, 0))))
    return task, model, batch, *task.loss(model, batch)


def test_the_teachers_landmarks_are_a_second_target(face_shards, teacher):
    store = SampleStore.read(face_shards)
    *_, alone, _ = loss_parts(store, None, 48)
    _, model, batch, twice, parts = loss_parts(store, teacher, 48, teacher_weight=2.0)
    with torch.no_grad():
        answers = teacher(batch["image"]).landmarks
        model = new_model(store, store.faces, 0.25, 48, seed=0, network="lite").train()
        estimates = model.landmark_branch.estimates(model.embed(batch["image"]))
        distances = [wing_loss(landmarks, answers) for landmarks, _ in estimates]
    assert parts["teacher"].item() == pytest.approx(distances[-1].item(), rel=1e-4)
    assert (twice - alone).item() == pytest.approx(2 * sum(distances).item(), rel=1e-3)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_smaller_crops_are_enlarged_for_the_teacher(face_shards, teacher):
    store = SampleStore.read(face_shards)
    *_, parts = loss_parts(store, teacher, 32)
    assert 0 < parts["teacher"].item() < 1e3


def test_a_teacher_of_another_scheme_is_refused(face_shards, teacher):
    store = SampleStore.read(face_shards)
    teacher.config = replace(teacher.config, scheme=IBUG_68)
    with pytest.raises(ValueError, match="teacher of ibug68"):
        LandmarkTask(store, RECIPES["lite", "landmarks"], 0, teacher=teacher)


def test_lite_is_trained_with_a_teacher_by_one_command(face_shards, tmp_path, teacher):
    save_checkpoint(tmp_path / "teacher.safetensors", teacher, {})
    common = {"data": (face_shards,), "out": tmp_path, "recipe": "lite", "workers": 0, "batch_size": 22, "samples": 22}
    taught = {"teacher": tmp_path / "teacher.safetensors", "coarse_fraction": 0.0, "validation": 0}
    cli.run(TrainConfig(stage="landmarks", **common, **taught))
    for stage in ("tracking", "pose"):
        cli.run(TrainConfig(stage=stage, **common))
    model, metadata = load_checkpoint(tmp_path / "pose.safetensors")
    assert (model.config.width, model.config.pose_from_vector, model.config.hard_swish) == (0.5, True, False)
    assert metadata["recipe"] == "lite"
    _, metadata = load_checkpoint(tmp_path / "landmarks.safetensors")
    assert metadata["data"]["teacher"].startswith("teacher.safetensors ")


def test_a_recipe_of_another_architecture_is_refused(face_shards, tmp_path):
    config = TrainConfig("landmarks", (face_shards,), tmp_path, recipe="lite", init="shipped", samples=22)
    with pytest.raises(ValueError, match=r"lite recipe trains another architecture than that of .*atpn\.safetensors"):
        cli.run(config)


def test_all_stages_of_lite_train_in_turn_and_the_first_has_the_teacher(face_shards, tmp_path, monkeypatch):
    trained, path = [], tmp_path / "teacher.safetensors"

    def note(stage, stores, config, context):
        trained.append((stage, config.recipe_name, config.teacher, config.samples))

    monkeypatch.setattr(cli, "train_stage", note)
    common = {"data": (face_shards,), "out": tmp_path, "recipe": "lite", "samples": 22}
    cli.run(TrainConfig(stage="all", teacher=path, **common))
    assert trained == [
        ("landmarks", "lite", path, 22),
        ("tracking", "lite", None, None),
        ("pose", "lite", None, None),
    ]


def test_only_the_landmark_stage_takes_a_teacher(face_shards, tmp_path):
    with pytest.raises(ValueError, match="--teacher is for the landmark stage"):
        TrainConfig(stage="pose", data=(face_shards,), out=tmp_path, teacher=tmp_path / "any")


def test_the_defaults_architecture_is_unchanged(face_shards):
    store = SampleStore.read(face_shards)
    assert new_model(store, store.faces, None, 112, seed=0).config == ATPNConfig()
