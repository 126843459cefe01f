"""Crops that become milder towards the end of a run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atpn.data.augment import NO_AUGMENT, AugmentConfig
from atpn.data.crops import NO_JITTER, JitterConfig
from atpn.data.store import SampleStore
from atpn.train.config import RECIPES
from atpn.train.landmarks import LandmarkTask, new_model
from atpn.train.loop import Budget, RunOptions, Trainer
from atpn.train.pose import PoseTask
from atpn.train.settling import UNSETTLED, Settling, interpolate


def test_blended_is_between_field_by_field():
    start = AugmentConfig(cover=0.2, noise_sigma=(2.0, 10.0), jpeg_quality=(25, 85))
    end = AugmentConfig(cover=0.1, noise_sigma=(0.0, 4.0), jpeg_quality=(60, 90))
    half = interpolate(start, end, 0.5)
    assert half.cover == pytest.approx(0.15)
    assert half.noise_sigma == pytest.approx((1.0, 7.0))
    assert half.jpeg_quality == (42, 88)
    assert all(isinstance(value, int) for value in half.jpeg_quality)
    assert interpolate(start, end, 0.0) == start
    assert interpolate(start, end, 1.0) == end


def test_fraction_rises_linearly_and_stays():
    settling = Settling(10, 14)
    assert [settling.fraction(step) for step in (0, 10, 11, 13, 14, 99)] == [0, 0, 0.25, 0.75, 1, 1]
    assert UNSETTLED.fraction(10**9) == 0
    assert Settling(0, 0).fraction(0) == 1


def trainer(store, recipe, out, budget, kind=LandmarkTask):
    model = new_model(store, store.faces, 0.25, 32, seed=0)
    return Trainer(kind(store, recipe, 0), model, recipe, RunOptions(out, budget, {}, {}, workers=0, bfloat16="off"))


@pytest.fixture
def recipe():
    """Ten crops a step, that settle to crops by the rule itself over the last four tenths."""
    changes = {"batch_size": 10, "input_size": 32, "coarse_fraction": 0.0, "settle_fraction": 0.4}
    changes |= {"settled_jitter": NO_JITTER, "settled_augment": NO_AUGMENT, "jitter": JitterConfig()}
    return replace(RECIPES["atpn", "landmarks"], **changes)


@pytest.mark.parametrize("kind", [LandmarkTask, PoseTask])
def test_crops_settle_over_the_first_half_of_the_last_fraction(face_shards, tmp_path, recipe, kind):
    store = SampleStore.read(face_shards)
    run = trainer(store, recipe, tmp_path, Budget(samples=100), kind)
    assert run.settling() == Settling(pytest.approx(6), pytest.approx(8))
    run.task.settling = run.settling()
    batches = run.task.batches(32, 0)
    usual = replace(recipe, settled_jitter=None, settled_augment=None)
    settled = replace(usual, jitter=NO_JITTER, augment=NO_AUGMENT)
    expected = [kind(store, given, 0) for given in (usual, settled)]
    for task in expected:
        task.begin(run.model)

    def image(made, step):
        return made.batch(step, np.random.default_rng(step))["image"]

    for step in range(10):
        same = [torch.equal(image(batches, step), image(task.batches(32, 0), step)) for task in expected]
        assert same == [step <= 6, step >= 8], step


def test_a_longer_budget_settles_later_and_minutes_settle_at_once(face_shards, tmp_path, recipe):
    store = SampleStore.read(face_shards)
    run = trainer(store, recipe, tmp_path / "samples", Budget(samples=40))
    run.run()
    longer = trainer(store, recipe, tmp_path / "samples", Budget(samples=400))
    assert longer.progress.step == 4
    assert longer.settling().first == pytest.approx(24)
    timed = trainer(store, recipe, tmp_path / "minutes", Budget(minutes=1.0))
    assert timed.settling() == UNSETTLED
    timed.progress.seconds = 36.5
    assert timed.settling().fraction(0) == 1
    # Nothing to settle to: batch norm alone.
    plain = replace(recipe, settled_jitter=None, settled_augment=None)
    assert trainer(store, plain, tmp_path / "plain", Budget(samples=40)).settling() == UNSETTLED


def test_a_timed_run_takes_milder_crops_when_its_last_fraction_begins(face_shards, tmp_path, recipe, monkeypatch):
    store = SampleStore.read(face_shards)
    run = trainer(store, recipe, tmp_path, Budget(minutes=1.0))
    seen = []

    def batches(self, crop_size, first_step):
        seen.append((first_step, self.settling.fraction(first_step)))
        return LandmarkTask.batches(self, crop_size, first_step)

    def step(batch):
        run.progress.seconds += 15.0  # as if: 4 steps, the third of which lies in the last four tenths
        return {}

    monkeypatch.setattr(run.task, "batches", batches.__get__(run.task))
    monkeypatch.setattr(run, "_step", step)
    run.run()
    assert seen == [(0, 0.0), (3, 1.0)]
