from pathlib import Path

import numpy as np
import pytest
import torch

from atpn.train.optimizer import learning_rate
from atpn.tufa import train as training
from atpn.tufa.batches import PlaneBatches, PlanePoints
from atpn.tufa.recipes import published_recipe
from atpn.tufa.train import TrainTUFAConfig
from atpn.tufa.training_set import single_set


@pytest.mark.parametrize(
    ("size", "several", "rate", "epochs", "drops"),
    [("vit-s8", True, 1e-4, 100, (80, 90)), ("vit-s16", False, 5e-5, 140, (120, 130))],
)
def test_published_sizes_train_as_published(size, several, rate, epochs, drops):
    recipe = published_recipe(size, several)
    assert (recipe.optimizer, recipe.batch_size, recipe.epochs, recipe.input_size) == ("adamw", 16, epochs, 256)
    for epoch, factor in ((0, 1), (drops[0] - 1, 1), (drops[0], 0.1), (drops[1] - 1, 0.1), (drops[1], 0.01)):
        assert learning_rate(recipe, epoch / epochs, 1000 * epoch, epoch) == pytest.approx(factor * rate)
    jitter, augment = recipe.jitter, recipe.augment
    assert (jitter.rotation, jitter.scale_limit, jitter.flip_prob) == (30.0, 0.05, 0.5)
    assert (augment.gray, augment.cover, augment.tone) == (0.2, 0.5, 0.5)
    assert jitter.center_sigma * 256 * 3**0.5 == pytest.approx(10)


def test_the_command_takes_the_recipe_of_its_size_and_the_number_of_sets():
    several, one = ((Path("a"), Path("b")), (Path("a"),))
    config = TrainTUFAConfig(several, Path("out"), size="vit-s8")
    assert (config.recipe.epochs, config.recipe.lr, config.shear_prob) == (100, 1e-4, 0.33)
    assert TrainTUFAConfig(one, Path("out"), size="vit-s8").recipe.epochs == 140
    assert TrainTUFAConfig(one, Path("out"), size="vit-s8", lr=1e-3).recipe.lr == 1e-3
    small = TrainTUFAConfig(several, Path("out"))
    assert (small.recipe, small.shear_prob) == (training.RECIPE, 0.0)
    assert TrainTUFAConfig(one, Path("out"), samples=3200).recipe.warmup_steps == 10
    assert TrainTUFAConfig(one, Path("out"), samples=10**6).recipe.warmup_steps == training.RECIPE.warmup_steps


def test_a_length_in_epochs_counts_the_faces_of_all_sets(dense_shards, tmp_path, monkeypatch):
    seen = {}

    class Trainer:
        def __init__(self, task, model, recipe, options):
            seen.update(samples=options.budget.samples, epoch=options.epoch_samples)

        def run(self):
            return None

    monkeypatch.setattr(training, "Trainer", Trainer)
    folders, names = (dense_shards, dense_shards), ("a", "b")
    training.train(TrainTUFAConfig(folders, tmp_path, size="vit-s16", names=names, device="cpu"))
    faces = 2 * len(single_set(training.SampleStore.read(dense_shards), ("wflw98",)).split()[0])
    assert seen == {"samples": 100 * faces, "epoch": faces}


def test_sheared_crops_keep_points_on_what_they_mark(tiny, store):
    recipe = published_recipe("vit-s16", several=False)
    source = single_set(store, ("wflw98",))
    points = [PlanePoints(tiny, ("wflw98",), 24)]
    drawn = {
        prob: PlaneBatches([source], [store.faces], points, [1.0], recipe, 32, 0, shear_prob=prob).batch(
            0, np.random.default_rng(0)
        )
        for prob in (0.0, 1.0)
    }
    straight, sheared = drawn[0.0]["landmarks"][0], drawn[1.0]["landmarks"][0]
    torch.testing.assert_close(straight[:, 1], sheared[:, 1])
    moved = (sheared - straight)[:, 0] / (straight[:, 1] - 0.5)
    assert moved.std() < 1e-4
    assert 0 < moved.mean().abs() < 0.2
    assert not drawn[0.0]["image"][0].equal(drawn[1.0]["image"][0])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"coarse_fraction": 0.5, "size": "vit-s8"}, "is for --size small"),
        ({"coarse_fraction": 1.5}, "between 0 and 1"),
        ({"weights": Path("a"), "dino": Path("b"), "size": "vit-s8"}, "--weights or --dino"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        TrainTUFAConfig((Path("a"),), Path("out"), **options)
