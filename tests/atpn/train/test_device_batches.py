"""Batches made on a device (here the CPU) against those of loader processes, and training on them."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from atpn.data.augment import NO_AUGMENT
from atpn.data.crops import NO_JITTER, compute_mean_shape
from atpn.data.store import SampleStore
from atpn.train import cli, loop
from atpn.train.config import RECIPES, Recipe, TrainConfig
from atpn.train.dataset import FaceBatches
from atpn.train.device_batches import DeviceLoader
from atpn.train.loop import Interrupted
from atpn.train.mixing import MixedBatches
from atpn.train.settling import Settling
from atpn.train.state import load_state

PLAIN = Recipe(samples=None, batch_size=8, jitter=NO_JITTER, augment=NO_AUGMENT)


@pytest.fixture(scope="module")
def store(face_shards):
    return SampleStore.read(face_shards)


def face_batches(store, recipe, size=48, seed=0):
    mean = compute_mean_shape(store.landmarks[store.faces], store.scheme)
    return FaceBatches(store, store.faces, store.backgrounds, mean, recipe, size, seed)


def at(steps, step):
    return steps.batch(step, np.random.default_rng([steps.seed, step]))


@pytest.mark.parametrize("flip_prob", [0.0, 1.0])
@pytest.mark.parametrize("labels", ["stored", "partly known"])
def test_without_randomness_batches_equal_those_of_processes(store, flip_prob, labels):
    batches = face_batches(store, replace(PLAIN, jitter=replace(NO_JITTER, flip_prob=flip_prob)))
    if labels == "partly known":
        batches.labels = store.landmarks.copy()
        batches.labels[store.faces[::2], :20] = np.nan
    made, expected = at(DeviceLoader("cpu").load(batches), 1), at(batches, 1)
    assert made.keys() == expected.keys()
    difference = (made["image"].int() - expected["image"].int()).abs()
    # OpenCV places pixels in steps of a 32nd; at a drawn edge of full contrast that is four levels.
    assert difference.float().mean() < 0.3
    assert (difference > 1).float().mean() < 0.01
    for name in ("landmarks", "pose", "flipped"):
        np.testing.assert_allclose(made[name], expected[name], atol=1e-5)


def test_crops_settle_as_those_of_processes(store):
    mild = replace(NO_JITTER, flip_prob=1.0)
    batches = face_batches(store, replace(PLAIN, settled_jitter=mild, settled_augment=NO_AUGMENT))
    batches.settling = Settling(first=2, last=3)
    made = DeviceLoader("cpu").load(batches)
    for step, flipped in ((2, False), (3, True)):
        assert at(made, step)["flipped"].tolist() == at(batches, step)["flipped"].tolist() == [flipped] * 8


def test_batches_depend_on_seed_and_step_alone(store):
    batches = face_batches(store, Recipe(samples=None, batch_size=8, background_mix=0.5))
    first, second = (DeviceLoader("cpu").load(batches) for _ in range(2))
    at(first, 7)
    for one, other in zip(at(first, 3).values(), at(second, 3).values(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(at(first, 4)["image"], at(first, 3)["image"])
    other_seed = DeviceLoader("cpu").load(face_batches(store, batches.recipe, seed=1))
    assert not torch.equal(at(other_seed, 3)["image"], at(first, 3)["image"])


def test_images_are_decoded_once_for_all_input_sizes(store, monkeypatch):
    loader = DeviceLoader("cpu")
    loader.load(face_batches(store, PLAIN))
    monkeypatch.setattr(SampleStore, "image", None)
    assert at(loader.load(face_batches(store, PLAIN, size=64)), 0)["image"].shape == (8, 64, 64, 3)


def test_backgrounds_are_mixed_in_as_by_processes(store):
    # Flat black faces and flat white backgrounds: what is left is the share of the mixture.
    class Flat(SampleStore):
        def image(self, index):
            return np.full_like(super().image(index), 255 if index in self.backgrounds else 0)

    flat = object.__new__(Flat)
    flat.__dict__ = store.__dict__
    batches = face_batches(flat, replace(PLAIN, batch_size=200, background_mix=0.5))
    ours, theirs = (at(b, 0)["image"][:, 0, 0, 0].numpy() / 255 for b in (DeviceLoader("cpu").load(batches), batches))
    for shares in (ours, theirs):
        assert np.mean(shares > 0) == pytest.approx(0.5, abs=0.12)
        mixed = shares[shares > 0]
        assert mixed.mean() == pytest.approx(0.25, abs=0.03)
        assert mixed.min() >= 0.09
        assert mixed.max() <= 0.41


def test_several_sets_keep_their_parts(store):
    parts = [face_batches(store, replace(PLAIN, batch_size=count)) for count in (5, 3)]
    batch = at(DeviceLoader("cpu").load(MixedBatches(parts, 0)), 0)
    assert batch["source"].tolist() == [0] * 5 + [1] * 3
    expected = at(MixedBatches(parts, 0), 0)
    np.testing.assert_allclose(batch["landmarks"], expected["landmarks"], atol=1e-5)


def test_an_image_that_does_not_decode_is_named(store, monkeypatch):
    monkeypatch.setattr(store, "_places", np.full_like(store._places, (0, 0, 1)))
    with pytest.raises(ValueError, match="the image of sample face-00000 is not an image"):
        DeviceLoader("cpu").load(face_batches(store, PLAIN))


def config(face_shards, out, stage="landmarks", **changes):
    options = {"samples": 88, "width": 0.25, "workers": 0, "bfloat16": False, "device": "cpu", "validation": 4}
    return TrainConfig(stage, (face_shards,), out, **(options | {"loader": "device"} | changes))


@pytest.fixture
def short_recipes(monkeypatch):
    recipes = {
        key: replace(recipe, batch_size=22, coarse_size=32, input_size=48, warmup_steps=2)
        for key, recipe in RECIPES.items()
    }
    for stage in ("tracking", "pose"):
        recipes["atpn", stage] = replace(recipes["atpn", stage], samples=44)
    monkeypatch.setattr(cli, "RECIPES", recipes)


@pytest.mark.usefixtures("short_recipes")
def test_an_interrupted_run_ends_as_an_unbroken_one(face_shards, tmp_path, monkeypatch):
    cli.run(config(face_shards, tmp_path / "unbroken"))
    with monkeypatch.context() as patch:
        update = loop.update_ema

        def stop_after_two_steps(*arguments):
            update(*arguments)
            if arguments[-1] == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(loop, "update_ema", stop_after_two_steps)
        with pytest.raises(Interrupted):
            cli.run(config(face_shards, tmp_path / "broken"))
    cli.run(config(face_shards, tmp_path / "broken"))
    ends = [load_state(tmp_path / name / "landmarks.state.safetensors") for name in ("unbroken", "broken")]
    for unbroken, broken in zip(*(model.state_dict().values() for model, *_ in ends), strict=True):
        assert torch.equal(unbroken, broken)
    assert ends[0][3].step == ends[1][3].step == 4


@pytest.mark.usefixtures("short_recipes")
def test_all_stages_train_with_it_where_they_can(face_shards, tmp_path, monkeypatch):
    made = []
    load = DeviceLoader.load
    monkeypatch.setattr(DeviceLoader, "load", lambda self, batches: made.append(batches.recipe) or load(self, batches))
    cli.run(config(face_shards, tmp_path, "all", samples=66))
    assert {recipe.samples for recipe in made} == {2_000_000, 44}
    assert len(made) == 3  # two input sizes of landmarks, one of pose
    assert (tmp_path / "pose.safetensors").exists()


@pytest.mark.usefixtures("short_recipes")
@pytest.mark.parametrize("loader", ["auto", "processes"])
def test_without_a_gpu_processes_load(face_shards, tmp_path, monkeypatch, loader):
    monkeypatch.setattr(DeviceLoader, "load", None)
    cli.run(config(face_shards, tmp_path, loader=loader, samples=22))


@pytest.mark.parametrize(
    ("changes", "named"), [({"stage": "tracking"}, "the tracking stage"), ({"on_disk": True}, "images left on disk")]
)
def test_what_it_cannot_load_is_refused(face_shards, tmp_path, changes, named):
    with pytest.raises(ValueError, match=f"--loader device does not support {named}; use --loader processes"):
        config(face_shards, tmp_path, **changes)
