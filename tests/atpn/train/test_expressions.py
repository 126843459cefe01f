"""The expression stage on drawn faces: mouths that open as far as their label says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from atpn.data.sample import Sample
from atpn.data.shards import write_shard
from atpn.data.store import SampleStore
from atpn.model import load_checkpoint
from atpn.train import cli
from atpn.train.config import RECIPES, TrainConfig
from atpn.train.dataset import prepare
from atpn.train.expressions import ExpressionTask, with_expression_branch
from atpn.train.loop import freeze, make_optimizer
from edge_runtime.expressions import EXPRESSIONS

JAW = EXPRESSIONS.index("jawOpen")


@pytest.fixture(autouse=True)
def short_recipe(monkeypatch):
    recipe = replace(RECIPES["atpn", "expressions"], batch_size=12, input_size=48, warmup_steps=2)
    monkeypatch.setattr(cli, "RECIPES", {**RECIPES, ("atpn", "expressions"): recipe})


@pytest.fixture(scope="module")
def labeled_shards(tmp_path_factory, draw_sample):
    """18 faces with a jaw coefficient and gaze, one without, and a background."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("expressions")
    samples: list[Sample] = []
    for i in range(18):
        expressions = np.zeros(52, np.float32)
        expressions[JAW] = rng.random()
        gaze = rng.normal(0, 0.3, (2, 2)).astype(np.float32)
        samples.append(replace(draw_sample(rng, f"face-{i}"), expressions=expressions, gaze=gaze))
    samples += [draw_sample(rng, "unlabeled"), Sample(samples[0].image, key="background")]
    write_shard(folder / "faces.tar", samples)
    return folder


def _config(data, out, weights=None, **changes):
    options = {"samples": 48, "workers": 0, "bfloat16": "off", "device": "cpu", "validation": 4}
    return TrainConfig("expressions", (data,), out, weights=weights, **(options | changes))


def test_the_stage_adds_a_branch_and_changes_nothing_else(labeled_shards, tiny_weights, tmp_path):
    cli.run(_config(labeled_shards, tmp_path, tiny_weights))
    before, _ = load_checkpoint(tiny_weights)
    after, metadata = load_checkpoint(tmp_path / "expressions.safetensors")
    assert after.config.expressions == ("jawOpen",)  # the only one that varies in these data
    old = before.state_dict()
    for name, value in after.state_dict().items():
        assert name.startswith("expression_branch.") or torch.equal(value, old[name]), name
    assert metadata["stage"] == "expressions"
    assert {"mae", "correlation", "gaze_degrees"} <= metadata["validation"].keys()
    # A second time everything is found finished.
    cli.run(_config(labeled_shards, tmp_path, tiny_weights))


def test_the_stage_starts_from_the_runs_last_one(labeled_shards, tiny_weights, tmp_path):
    for suffix in (".safetensors", ".json"):
        (tmp_path / f"pose{suffix}").write_bytes(tiny_weights.with_suffix(suffix).read_bytes())
    cli.run(_config(labeled_shards, tmp_path))
    assert load_checkpoint(tmp_path / "expressions.safetensors")[1]["start"].startswith("pose.safetensors")


def test_data_without_expressions_are_refused(face_shards, tiny_weights, tmp_path):
    with pytest.raises(ValueError, match="landmarks, expressions, and gaze"):
        cli.run(_config(face_shards, tmp_path, tiny_weights))


def test_a_batch_is_learned_by_heart(labeled_shards, tiny_weights):
    store = SampleStore.read(labeled_shards)
    torch.manual_seed(0)
    model = with_expression_branch(load_checkpoint(tiny_weights)[0], store)
    recipe = replace(cli.RECIPES["atpn", "expressions"], lr=1e-2)
    task = ExpressionTask(store, recipe, 0)
    task.begin(model)
    freeze(model, set(model.PARTS) - set(task.trained))
    optimizer = make_optimizer(model.train(), recipe)
    batch = prepare(next(iter(task.batches(48, 0))))
    parts = []
    for _ in range(60):
        loss, values = task.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        parts.append({name: float(value) for name, value in values.items()})
    assert parts[-1]["expressions"] < 0.5 * parts[0]["expressions"]
    assert parts[-1]["gaze"] < 0.5 * parts[0]["gaze"]
