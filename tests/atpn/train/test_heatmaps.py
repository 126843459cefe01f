"""Networks of heatmaps in the landmark stage."""

import copy
from dataclasses import replace

import pytest
import torch

from atpn.data.store import SampleStore
from atpn.model import ATPNConfig
from atpn.train import loop
from atpn.train.config import RECIPES
from atpn.train.dataset import prepare
from atpn.train.heatmaps import KINDS
from atpn.train.landmarks import LandmarkTask, new_model, with_loss_heads
from atpn.train.losses.heatmap_semantic_alignment import gaussian_maps, heatmap_loss, search_heatmaps
from atpn.train.losses.heatmap_star import distance_loss, heatmap_star_loss


@pytest.fixture
def stage(face_shards):
    """The task, network and a batch of a loss."""
    store = SampleStore.read(face_shards)

    def begin(loss):
        recipe = replace(RECIPES["atpn", "landmarks"], batch_size=6, input_size=32, landmark_loss=loss)
        task = LandmarkTask(store, recipe, seed=0)
        model = with_loss_heads(new_model(store, task.faces, 0.25, 32, seed=0), recipe)
        task.begin(model)
        task.ema_model = copy.deepcopy(model).eval()
        return task, model, prepare(next(iter(task.batches(32, 0))))

    return begin


@pytest.mark.slow
@pytest.mark.parametrize("loss", KINDS)
def test_each_loss_can_learn_a_batch_by_heart(stage, loss):
    task, model, batch = stage(loss)
    assert (model.config.heatmaps, model.config.refinement_channels) == (KINDS[loss], 0)
    loop.freeze(model, ["tracking_branch", "pose_branch"])
    optimizer = torch.optim.Adam(model.train().parameters(), 1e-2)
    points = []
    for _ in range(45):
        total, parts = task.loss(model, batch)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        points.append(parts["points"].item())
    assert points[-1] < 0.75 * points[0]
    untrained = {"landmark_branch.residual", "landmark_branch.log_sigma"}
    for name, parameter in model.landmark_branch.named_parameters(prefix="landmark_branch"):
        trained = name.rpartition(".")[0] not in untrained and "heatmaps" in name
        assert not trained or parameter.grad.abs().sum() > 0, name


def test_losses_are_those_of_the_networks_maps(stage):
    expected = {"heatmap-distance": distance_loss, "heatmap-star": heatmap_star_loss, "heatmap-gaussian": heatmap_loss}
    for loss, formula in expected.items():
        task, model, batch = stage(loss)
        model.eval()
        task.recipe = replace(task.recipe, activation_penalty_weight=0.0)
        maps = model.landmark_branch.heatmaps(model.embed(batch["image"]).fine)
        assert task.loss(model, batch)[0].item() == pytest.approx(formula(maps, batch["landmarks"]).item())


def test_semantic_alignment_searches_in_the_averaged_networks_maps(stage):
    task, model, batch = stage("heatmap-semantic-alignment")
    task.recipe = replace(task.recipe, activation_penalty_weight=0.0)
    model.eval()
    averaged = gaussian_maps(batch["landmarks"] + 2 / 32, 32)
    task.ema_model.landmark_branch.heatmaps.forward = lambda fine: averaged
    target = search_heatmaps(averaged, batch["landmarks"])
    assert (target > batch["landmarks"]).float().mean() > 0.9
    maps = model.landmark_branch.heatmaps(model.embed(batch["image"]).fine)
    total, parts = task.loss(model, batch)
    assert total.item() == pytest.approx(heatmap_loss(maps, target).item())
    assert parts["moved"] > 0
    total.backward()
    assert all(parameter.grad is None for parameter in task.ema_model.parameters())


def test_a_network_of_heatmaps_does_not_learn_by_a_loss_of_coordinates(stage):
    _, model, _ = stage("heatmap-star")
    with pytest.raises(ValueError, match="the loss wing is for coordinates: use --landmark-loss heatmap-distance"):
        with_loss_heads(model, RECIPES["atpn", "landmarks"])
    gaussian = with_loss_heads(model, replace(RECIPES["atpn", "landmarks"], landmark_loss="heatmap-gaussian"))
    assert gaussian.config == replace(model.config, heatmaps="gaussian")
    assert ATPNConfig().heatmaps == "none"
