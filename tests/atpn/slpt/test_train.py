import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from atpn.model import load_network
from atpn.slpt import train as training
from atpn.slpt.network import SLPT
from atpn.slpt.recipes import RECIPES
from atpn.slpt.task import SLPTTask, face_sizes
from atpn.slpt.train import TrainSLPTConfig, train
from atpn.train import loop
from atpn.train.dataset import prepare
from atpn.train.loop import Interrupted
from atpn.train.optimizer import learning_rate
from edge_runtime.landmarks import WFLW_98


@pytest.fixture(autouse=True)
def tiny_sizes(monkeypatch, tiny_config):
    monkeypatch.setattr(training, "SIZES", {"small": tiny_config, "resnet34": tiny_config})


def config(face_shards, out, **changes):
    options = {"samples": 32, "batch_size": 8, "workers": 0, "bfloat16": "off", "validation": 4}
    return TrainSLPTConfig(data=face_shards, out=out, **(options | {"device": "cpu", "patch": 3} | changes))


def test_an_interrupted_run_ends_as_an_unbroken_one(face_shards, tmp_path, monkeypatch, tiny_config):
    unbroken = train(config(face_shards, tmp_path / "unbroken"))
    original = loop.update_ema
    with monkeypatch.context() as patch:

        def update(ema_model, model, decay, step):
            original(ema_model, model, decay, step)
            if step == 1:
                signal.raise_signal(signal.SIGTERM)

        patch.setattr(loop, "update_ema", update)
        with pytest.raises(Interrupted, match="stopped at step 2"):
            train(config(face_shards, tmp_path / "broken"))
    resumed = train(config(face_shards, tmp_path / "broken"))
    for (name, value), other in zip(unbroken.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(value, other), name
    model, metadata = load_network(tmp_path / "broken" / "slpt.safetensors", SLPT)
    assert model.config == tiny_config
    assert (metadata["finished"], metadata["steps"], metadata["samples"]) == (True, 4, 32)
    assert (metadata["network"], metadata["start"]) == ("dslpt", "features of atpn.safetensors")
    assert {"nme", "nme_rectangle"} <= set(metadata["validation"])


def test_another_architecture_does_not_resume(face_shards, tmp_path):
    train(config(face_shards, tmp_path, samples=8))
    with pytest.raises(ValueError, match="layers was 2, got 1"):
        train(config(face_shards, tmp_path, samples=16, layers=1))


@pytest.mark.parametrize(("network", "loss"), [("slpt", None), ("dslpt", None), ("dslpt", "laplace")])
def test_the_loss_falls(face_shards, store, make_slpt, network, loss):
    own = replace(RECIPES["small", network], recipe=replace(RECIPES["small", network].recipe, batch_size=4))
    task = SLPTTask(store, own, 0)
    model = make_slpt(network, **({"loss": loss} if loss else {})).train()
    task.begin(model)
    optimizer, losses = torch.optim.Adam(model.parameters(), 5e-3), []
    batch = prepare(next(iter(task.batches(32, 0))))
    for _ in range(20):
        value, parts = task.loss(model, batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(float(parts["stage3"]))
    assert set(parts) == {"stage1", "stage2", "stage3"}
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_the_small_size_s_features_are_frozen_unless_asked(face_shards, tmp_path, atpn):
    seen = atpn.backbone.state_dict()
    frozen = train(config(face_shards, tmp_path / "a", samples=8)).backbone.state_dict()
    assert all(torch.equal(value, seen[name]) for name, value in frozen.items())
    moving = train(config(face_shards, tmp_path / "b", samples=8, train_features=True)).backbone.state_dict()
    assert np.mean([not torch.equal(value, seen[name]) for name, value in moving.items()]) > 0.9


def test_published_schedules_drop_when_the_thesis_says():
    for network, drops, peak in (("slpt", (120, 140), 1e-3), ("dslpt", (80, 90), 4e-4)):
        recipe = RECIPES["published", network].recipe
        rates = [learning_rate(recipe, 0.0, 10**6, epoch) for epoch in range(recipe.epochs)]
        expected = [peak * 0.1 ** sum(epoch >= drop for drop in drops) for epoch in range(recipe.epochs)]
        np.testing.assert_allclose(rates, expected)
        assert recipe.batch_size == 16
    assert RECIPES["published", "dslpt"].recipe.epochs == 100


def test_the_published_recipe_is_the_published_sizes_default(face_shards, tmp_path):
    assert config(face_shards, tmp_path, size="resnet34").full_recipe().recipe.decay_at == (80, 90)
    assert config(face_shards, tmp_path, network="slpt", size="resnet34").full_recipe().recipe.optimizer == "adam"
    assert config(face_shards, tmp_path, size="resnet34", recipe="small").full_recipe().recipe.schedule == "cosine"
    assert config(face_shards, tmp_path).full_recipe().recipe.input_size == 32


def test_face_sizes_ignore_unknown_landmarks():
    landmarks = torch.rand(3, 98, 2)
    landmarks[1, 40:50] = torch.nan
    landmarks[2, 60] = torch.nan  # an outer eye corner
    box, eyes = face_sizes(landmarks, WFLW_98, False), face_sizes(landmarks, WFLW_98, True)
    for i in range(3):
        known = landmarks[i][~landmarks[i].isnan().any(dim=1)]
        side = (known.amax(dim=0) - known.amin(dim=0)).max()
        assert box[i] == side
        assert eyes[i] == (side if i == 2 else (landmarks[i, 60] - landmarks[i, 72]).norm())


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"minutes": 1.0}, "not both"),
        ({"layers": 0}, "--layers must be positive"),
        ({"network": "slpt", "shrink": (0.5, 0.7)}, "patches shrink alike"),
        ({"resnet": "resnet34.pth"}, "give --size resnet34 or resnet50"),
    ],
)
def test_contradicting_options_are_refused(face_shards, tmp_path, changes, match):
    with pytest.raises(ValueError, match=match):
        config(face_shards, tmp_path, **changes)
