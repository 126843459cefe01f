import signal

import numpy as np
import pytest
import torch

from atpn.__main__ import main
from atpn.model import load_network, save_checkpoint
from atpn.train import loop
from atpn.train.config import Recipe
from atpn.train.dataset import prepare
from atpn.train.loop import Interrupted
from atpn.tufa import train as training
from atpn.tufa.anchors import DENSE, WFLW_WITHOUT_IBUG
from atpn.tufa.config import TUFAConfig
from atpn.tufa.network import TUFA, new_tufa
from atpn.tufa.task import TUFATask
from atpn.tufa.train import TrainTUFAConfig, train
from atpn.tufa.training_set import single_set


@pytest.fixture(autouse=True)
def tiny_sizes(monkeypatch):
    sizes = {
        "small": TUFAConfig(input_size=32, dim=32, depth=1, heads=2, decoder_depth=1),
        "vit-s16": TUFAConfig("patches", input_size=32, dim=32, depth=1, heads=2, decoder_depth=1),
    }
    monkeypatch.setattr(training, "SIZES", sizes)
    monkeypatch.setattr(training, "RECIPE", Recipe(samples=64, batch_size=8, lr=1e-3, warmup_steps=2))


def config(dense_shards, out, **changes):
    options = {"size": "vit-s16", "samples": 32, "batch_size": 8, "workers": 0, "bfloat16": "off", "validation": 4}
    return TrainTUFAConfig((dense_shards,), out, **(options | {"device": "cpu"} | changes))


def test_an_interrupted_run_ends_as_an_unbroken_one(dense_shards, tmp_path, monkeypatch):
    unbroken = train(config(dense_shards, tmp_path / "unbroken"))
    original = loop.update_ema
    with monkeypatch.context() as patch:

        def update(ema_model, model, decay, step):
            original(ema_model, model, decay, step)
            if step == 1:
                signal.raise_signal(signal.SIGTERM)

        patch.setattr(loop, "update_ema", update)
        with pytest.raises(Interrupted, match="stopped at step 2"):
            train(config(dense_shards, tmp_path / "broken"))
    resumed = train(config(dense_shards, tmp_path / "broken"))
    for (name, value), other in zip(unbroken.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(value, other), name
    model, metadata = load_network(tmp_path / "broken" / "tufa.safetensors", TUFA)
    assert metadata["finished"]
    assert (metadata["steps"], metadata["samples"]) == (4, 32)
    assert metadata["data"]["with_dense"] == 16
    assert set(metadata["validation"]) == {"wflw98", "ibug68", "cofw29"}
    assert model.alignment.weight[1:].abs().max() > 0
    assert not model.alignment.weight[0].any()


def test_the_loss_falls(store):
    recipe = Recipe(samples=None, batch_size=16, lr=3e-3, warmup_steps=2, input_size=32)
    task = TUFATask([single_set(store, ("wflw98", DENSE))], recipe, 0, 24)
    config = TUFAConfig("patches", input_size=32, dim=32, depth=1, heads=2, decoder_depth=1)
    model = new_tufa(config, {"wflw98": task.sets[0].frame.shape}, 0)
    task.begin(model)
    optimizer, losses = loop.make_optimizer(model, recipe), []
    batch = next(iter(task.batches(32, 0)))
    for _ in range(40):
        loss, _ = task.loss(model, prepare(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])


def test_features_rest_unless_asked(dense_shards, tmp_path, atpn):
    frozen_parts = train(config(dense_shards, tmp_path / "a", size="small", samples=16))
    seen = atpn.backbone.state_dict()
    for name, value in frozen_parts.features.backbone.state_dict().items():
        assert torch.equal(value, seen[name]), name
    moving = train(config(dense_shards, tmp_path / "b", size="small", samples=16, train_features=True))
    changed = [not torch.equal(v, seen[name]) for name, v in moving.features.backbone.state_dict().items()]
    assert np.mean(changed) > 0.9


def test_a_start_takes_the_features_that_are_given(dense_shards, tmp_path, atpn):
    options = {"size": "small", "samples": 8, "lr": 1e-12}
    first = train(config(dense_shards, tmp_path / "first", **options))
    weights, other = tmp_path / "first" / "tufa.safetensors", tmp_path / "atpn.safetensors"
    torch.nn.init.constant_(atpn.backbone.stem[1].bias, 0.25)
    save_checkpoint(other, atpn, {})
    second = train(config(dense_shards, tmp_path / "second", weights=weights, features=other, **options))
    torch.testing.assert_close(second.features.backbone.state_dict(), atpn.backbone.state_dict())
    torch.testing.assert_close(second.decoder.state_dict(), first.decoder.state_dict())
    kept = train(config(dense_shards, tmp_path / "kept", weights=weights, features=None, **options))
    torch.testing.assert_close(kept.features.backbone.state_dict(), first.features.backbone.state_dict())


def test_trained_features_are_not_replaced_unasked(dense_shards, tmp_path):
    options = {"size": "small", "samples": 8}
    train(config(dense_shards, tmp_path / "first", train_features=True, **options))
    weights = tmp_path / "first" / "tufa.safetensors"
    with pytest.raises(ValueError, match="were trained; keep them by --features None"):
        train(config(dense_shards, tmp_path / "second", weights=weights, **options))
    train(config(dense_shards, tmp_path / "second", weights=weights, features=None, **options))


def test_without_alignment_the_mean_shapes_stay(dense_shards, tmp_path):
    model = train(config(dense_shards, tmp_path, align=False))
    assert not model.alignment.weight.any()


def test_a_network_may_be_kept_from_the_68_points(dense_shards, tmp_path):
    model = train(config(dense_shards, tmp_path, sources=(WFLW_WITHOUT_IBUG, "cofw29"), samples=8))
    assert model.config.schemes == ((WFLW_WITHOUT_IBUG, 30), ("cofw29", 29))


def test_only_dense_sources_leave_faces_without_them_out(store):
    task = TUFATask([single_set(store, (DENSE,))], Recipe(samples=None), 0, 24)
    assert set(task.faces[0]) <= set(store.with_dense)


def test_renders_without_dense_points_are_refused(face_shards, tmp_path, capsys):
    assert main(["tufa", "train", "--data", str(face_shards), "--out", str(tmp_path), "--samples", "8"]) == 1
    assert "has no dense points; render it again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"minutes": 1.0}, "not both"),
        ({"points": 0}, "--points must be positive"),
        ({"sources": ()}, "has no scheme"),
    ],
)
def test_contradicting_options_are_refused(dense_shards, tmp_path, changes, match):
    with pytest.raises(ValueError, match=match):
        config(dense_shards, tmp_path, **changes)
