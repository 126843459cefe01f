"""The three stages on drawn faces, with a small network."""

import json
import logging
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from atpn.data import field_names
from atpn.data.crops import compute_mean_shape
from atpn.data.store import SampleStore
from atpn.evaluate.crops import validation_batch
from atpn.evaluate.inference import predict
from atpn.model import CheckpointError, load_checkpoint
from atpn.train import cli, loop, state
from atpn.train.config import RECIPES, Recipe, TrainConfig
from atpn.train.dataset import FaceBatches, TrackingBatches, load, prepare
from atpn.train.landmarks import LandmarkTask, landmark_metrics, new_model
from atpn.train.loop import Budget, Interrupted, learning_rate
from atpn.train.losses.landmark import thesis_landmark_loss
from atpn.train.progress import read_progress
from atpn.train.state import Progress, load_state


@pytest.fixture(autouse=True)
def short_recipes(monkeypatch):
    """Batches of 22 at 32 and 48 px, in full precision of one thread."""
    recipes = {
        key: replace(recipe, batch_size=22, coarse_size=32, input_size=48, warmup_steps=2)
        for key, recipe in RECIPES.items()
    }
    monkeypatch.setattr(cli, "RECIPES", recipes)


def config(face_shards, out, stage="landmarks", **changes):
    options = {"samples": 88, "width": 0.25, "workers": 0, "bfloat16": "off", "device": "cpu", "validation": 4}
    return TrainConfig(stage, (face_shards,), out, **(options | changes))


def weights(path):
    return load_checkpoint(path)[0].state_dict()


def assert_equal(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def stop_at(monkeypatch, step, kind=signal.SIGTERM):
    """Send this process a signal in the midst of the given step."""
    original = loop.update_ema

    def update(ema_model, model, decay, now):
        original(ema_model, model, decay, now)
        if now == step:
            os.kill(os.getpid(), kind)

    monkeypatch.setattr(loop, "update_ema", update)


@pytest.mark.parametrize(
    ("stopped", "fixed"),
    [pytest.param(0, None, marks=pytest.mark.slow), pytest.param(2, None, marks=pytest.mark.slow), (2, 0.6)],
)
def test_an_interrupted_run_ends_as_an_unbroken_one(face_shards, tmp_path, monkeypatch, stopped, fixed):
    # Four steps, of which the first three are coarse: both sides of the change of size are crossed.
    options = {"settle_fraction": fixed}
    cli.run(config(face_shards, tmp_path / "unbroken", **options))
    with monkeypatch.context() as patch:
        stop_at(patch, stopped)
        with pytest.raises(Interrupted, match=f"stopped at step {stopped + 1}"):
            cli.run(config(face_shards, tmp_path / "broken", **options))
    interrupted, metadata = load_checkpoint(tmp_path / "broken" / "landmarks.safetensors")
    assert interrupted.config.width == 0.25
    assert metadata["finished"] is False
    cli.run(config(face_shards, tmp_path / "broken", **options))
    ends = [tmp_path / name / "landmarks.state.safetensors" for name in ("unbroken", "broken")]
    (model, average, _, progress), (other, other_average, _, other_progress) = map(load_state, ends)
    assert_equal(model.state_dict(), other.state_dict())
    assert_equal(average.state_dict(), other_average.state_dict())
    assert progress.step == other_progress.step == 4
    assert progress.finished
    assert other_progress.finished
    assert model.config.input_size == 48


def test_training_ends_with_fixed_statistics_of_the_average(face_shards, tmp_path, monkeypatch):
    options = {"settle_fraction": 0.5, "coarse_fraction": 0.0}
    with monkeypatch.context() as patch:
        stop_at(patch, 1)  # the last step whose batches still move the statistics
        with pytest.raises(Interrupted):
            cli.run(config(face_shards, tmp_path, **options))
    _, before, _, progress = load_state(tmp_path / "landmarks.state.safetensors")
    assert not progress.batch_norm_frozen
    cli.run(config(face_shards, tmp_path, **options))
    model, after, _, progress = load_state(tmp_path / "landmarks.state.safetensors")
    assert progress.batch_norm_frozen
    for network in (model, after):
        state = network.state_dict()
        for name, value in before.state_dict().items():
            if name.endswith(("running_mean", "running_var")):
                assert torch.equal(state[name], value), name
    assert not torch.equal(after.backbone.stem[0].weight, before.backbone.stem[0].weight)
    # A longer budget is training as usual again.
    cli.run(config(face_shards, tmp_path, **options, samples=440))
    assert load_state(tmp_path / "landmarks.state.safetensors")[3].batch_norm_frozen
    assert not torch.equal(
        weights(tmp_path / "landmarks.safetensors")["backbone.stem.1.running_mean"],
        state["backbone.stem.1.running_mean"],
    )


@pytest.mark.parametrize("chosen", [False, True])
def test_precision_is_what_was_measured_to_be_faster(face_shards, tmp_path, monkeypatch, caplog, chosen):
    def measured(step):
        for bfloat16 in (False, True):
            step(bfloat16)
        return chosen, (0.125, 0.25)

    original, precisions = loop.Trainer._loss, []

    def loss(trainer, model, batch, bfloat16):
        precisions.append(bfloat16)
        return original(trainer, model, batch, bfloat16)

    monkeypatch.setattr(loop, "faster_in_bfloat16", measured)
    monkeypatch.setattr(loop.Trainer, "_loss", loss)
    with caplog.at_level(logging.INFO):
        cli.run(config(face_shards, tmp_path / "auto", bfloat16="auto", settle_fraction=0.0))
    assert precisions == [False, True] + [chosen] * 4
    name = "bfloat16" if chosen else "float32"
    assert f"computing in {name} (4 crops: 125 ms in float32, 250 ms in bfloat16)" in caplog.text
    # Measuring leaves no trace: the run is that of a given precision.
    cli.run(config(face_shards, tmp_path / "given", bfloat16="on" if chosen else "off", settle_fraction=0.0))
    assert_equal(*(weights(tmp_path / out / "landmarks.safetensors") for out in ("auto", "given")))
    assert load_checkpoint(tmp_path / "auto" / "landmarks.safetensors")[1]["bfloat16"] is chosen


def test_more_crops_decide_where_few_show_no_difference(face_shards, tmp_path, monkeypatch, caplog):
    measured = iter([(False, (0.125, 0.125)), (True, (0.5, 0.375))])
    monkeypatch.setattr(loop, "faster_in_bfloat16", lambda step: step(True) or next(measured))
    with caplog.at_level(logging.INFO):
        cli.run(config(face_shards, tmp_path, bfloat16="auto", batch_size=16, samples=16))
    assert "computing in bfloat16 (16 crops: 500 ms in float32, 375 ms in bfloat16)" in caplog.text


def test_ctrl_c_saves_too(face_shards, tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    stop_at(monkeypatch, 1, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="repeat the command to resume"):
        cli.run(config(face_shards, tmp_path))
    assert load_state(tmp_path / "landmarks.state.safetensors")[3].step == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_all_stages_change_only_their_own_parts(face_shards, tmp_path, monkeypatch, caplog):
    for key in (("atpn", "tracking"), ("atpn", "pose")):
        monkeypatch.setitem(cli.RECIPES, key, replace(cli.RECIPES[key], samples=44))
    with caplog.at_level(logging.INFO):
        cli.run(config(face_shards, tmp_path, "all", samples=44))
    stages = [weights(tmp_path / f"{name}.safetensors") for name in ("landmarks", "tracking", "pose")]
    for earlier, later, part in zip(stages, stages[1:], ("tracking_branch", "pose_branch"), strict=False):
        changed = {name.split(".")[0] for name in earlier if not torch.equal(earlier[name], later[name])}
        assert changed == {part}
    assert "resuming" not in caplog.text
    # A second time everything is found finished, and nothing moves.
    with caplog.at_level(logging.INFO):
        cli.run(config(face_shards, tmp_path, "all", samples=44))
    assert caplog.text.count("already finished") == 3
    assert_equal(stages[2], weights(tmp_path / "pose.safetensors"))


@pytest.mark.parametrize("recipe", ["atpn", "thesis"])
def test_each_recipe_can_learn_a_batch_by_heart(face_shards, recipe):
    store = SampleStore.read(face_shards)
    recipe = replace(cli.RECIPES[recipe, "landmarks"], input_size=32)
    model = new_model(store, store.faces, 0.25, 32, seed=0)
    task = cli.LandmarkTask(store, recipe, 0)
    task.begin(model)
    loop.freeze(model, ["tracking_branch", "pose_branch"])
    optimizer = loop.make_optimizer(model.train(), recipe)
    batch = next(iter(task.batches(32, 0)))
    batch, points = prepare(batch), []
    for _ in range(40):
        loss, parts = task.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        points.append(parts["points"].item())
    assert points[-1] < 0.6 * points[0]


def test_training_brings_wild_activations_back_into_range(face_shards):
    # As a long run may leave them: one layer answers with dozens of standard deviations, and the loss does not mind.
    store = SampleStore.read(face_shards)
    recipe = replace(RECIPES["atpn", "landmarks"], batch_size=12, input_size=48)
    task = LandmarkTask(store, recipe, seed=0)
    model = new_model(store, task.faces, 0.25, 48, seed=0).train()
    task.begin(model)
    norm = model.landmark_branch.high_views.far[1][1]
    norm.weight.data.mul_(15)
    batch = next(iter(task.batches(48, 0)))
    batch = prepare(batch)
    optimizer = torch.optim.Adam([norm.weight], 0.3)
    excess = []
    for _ in range(40):
        loss, parts = task.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        excess.append(parts["range"].item())
    assert excess[0] > 1
    assert excess[-1] < excess[0] / 4
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    "option",
    [
        {"landmark_loss": "star"},
        pytest.param({"landmark_loss": "adaptive-wing"}, marks=pytest.mark.slow),
        pytest.param({"semantic_alignment": True}, marks=pytest.mark.slow),
        pytest.param({"shape_components": 4}, marks=pytest.mark.slow),
    ],
)
def test_options_for_people_s_labels_go_on_after_a_stop(face_shards, tmp_path, monkeypatch, option):
    cli.run(config(face_shards, tmp_path / "unbroken", **option))
    with monkeypatch.context() as patch:
        stop_at(patch, 1)
        with pytest.raises(Interrupted):
            cli.run(config(face_shards, tmp_path / "broken", **option))
    cli.run(config(face_shards, tmp_path / "broken", **option))
    assert_equal(*(weights(tmp_path / name / "landmarks.safetensors") for name in ("unbroken", "broken")))
    with pytest.raises(ValueError, match="cannot resume from"):
        cli.run(config(face_shards, tmp_path / "broken"))


def test_an_ambiguity_head_changes_no_output_and_later_stages_take_it(face_shards, tmp_path):
    cli.run(config(face_shards, tmp_path, samples=22))
    options = {"weights": tmp_path / "landmarks.safetensors", "landmark_loss": "star", "samples": 22}
    cli.run(config(face_shards, tmp_path / "star", **options))
    model, _ = load_checkpoint(tmp_path / "star" / "landmarks.safetensors")
    assert model.config.ambiguity
    cli.run(config(face_shards, tmp_path / "star", "tracking", samples=22))
    plain_model, _ = load_checkpoint(tmp_path / "landmarks.safetensors")
    image = torch.rand(2, 3, 48, 48) * 255
    with torch.no_grad():
        outputs = plain_model.eval()(image), plain_model.with_config(ambiguity=True).eval()(image)
    for before, after in zip(*outputs, strict=True):
        assert torch.equal(before, after)
    with pytest.raises(ValueError, match="without an ambiguity head"):
        plain_model.landmark_branch.read_ambiguity(torch.zeros(1, 128))


def test_wrong_labels_are_learnt_but_not_measured_on(face_shards):
    store = SampleStore.read(face_shards)
    recipe = RECIPES["atpn", "landmarks"]
    recipe = replace(recipe, batch_size=6, label_noise=replace(recipe.label_noise, level=1.0))
    batches = []
    for given in (recipe, replace(recipe, label_noise=replace(recipe.label_noise, level=0.0))):
        task = LandmarkTask(store, given, 0)
        task.mean_shape = compute_mean_shape(store.landmarks[store.faces], store.scheme)
        batches.append([task.batches(32, step).batch(step, np.random.default_rng(0))["landmarks"] for step in (0, 0)])
        np.testing.assert_array_equal(
            validation_batch(task.store, task.held_out, task.mean_shape, 32)["landmarks"],
            validation_batch(store, task.held_out, task.mean_shape, 32)["landmarks"],
        )
    (noisy, again), (clean, _) = batches
    assert torch.equal(noisy, again)
    jaw = (noisy - clean)[:, 2:31].norm(dim=-1)
    assert 0.01 < jaw.mean() < 0.06
    # Corners move by little more than the crops, which follow the labels.
    assert (noisy - clean)[:, [60, 64, 68, 72]].norm(dim=-1).mean() < 0.5 * jaw.mean()


def test_the_thesis_recipe_is_as_published(face_shards):
    store = SampleStore.read(face_shards)
    recipe = replace(cli.RECIPES["thesis", "landmarks"], input_size=32)
    model = new_model(store, store.faces, 0.25, 32, seed=0, network=recipe.network)
    task = cli.LandmarkTask(store, recipe, 0)
    task.begin(model)
    batch = prepare(next(iter(task.batches(32, 0))))
    loss, _ = task.loss(model, batch)
    landmarks, _ = model.landmark_branch(model.features(batch["image"]))
    assert torch.equal(loss, thesis_landmark_loss(landmarks, batch["landmarks"], store.scheme))
    assert model.landmark_branch.refinement is None
    assert not cli.RECIPES["thesis", "tracking"].balance_classes


def test_the_thesis_recipe_runs(face_shards, tmp_path):
    cli.run(config(face_shards, tmp_path, recipe="thesis", samples=22, workers=1))
    assert json.loads((tmp_path / "landmarks.json").read_text())["metadata"]["recipe"] == "thesis"


def test_a_longer_budget_continues_a_finished_run(face_shards, tmp_path):
    cli.run(config(face_shards, tmp_path, samples=22))
    cli.run(config(face_shards, tmp_path, samples=44))
    assert load_state(tmp_path / "landmarks.state.safetensors")[3].samples == 44


@pytest.mark.parametrize(("name", "before", "now"), [("seed", 0, 1), ("width", 0.25, 0.5)])
def test_another_setup_is_refused(face_shards, tmp_path, name, before, now):
    cli.run(config(face_shards, tmp_path, samples=22))
    with pytest.raises(ValueError, match=f"option {name} was {before}, got {now}"):
        cli.run(config(face_shards, tmp_path, samples=22, **{name: now}))


@pytest.mark.slow
def test_a_state_from_before_an_option_goes_on(face_shards, tmp_path, monkeypatch):
    def without_new_options(path, model, ema_model, optimizer, progress):
        setup = json.loads(json.dumps(progress.setup))
        del setup["width"], setup["recipe"]["balance_classes"], setup["recipe"]["jitter"]["rotation"]
        state.save_state(path, model, ema_model, optimizer, replace(progress, setup=setup))

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_state", without_new_options)
        cli.run(config(face_shards, tmp_path, samples=22))
    assert "width" not in load_state(tmp_path / "landmarks.state.safetensors")[3].setup
    with pytest.raises(ValueError, match=r"option width was 0\.25, got 0\.5"):  # the network itself tells
        cli.run(config(face_shards, tmp_path, samples=44, width=0.5))
    cli.run(config(face_shards, tmp_path, samples=44))
    assert load_state(tmp_path / "landmarks.state.safetensors")[3].samples == 44


def with_old_names(stored):
    """Keys as earlier versions wrote them, at any depth."""
    old = {new: name for name, new in field_names.RENAMED.items()}
    return {old.get(k, k): with_old_names(v) if isinstance(v, dict) else v for k, v in stored.items()}


def test_a_state_with_earlier_names_resumes(face_shards, tmp_path, monkeypatch):
    original = state.asdict
    with monkeypatch.context() as patch:
        patch.setattr(state, "asdict", lambda value: with_old_names(original(value)))
        cli.run(config(face_shards, tmp_path, samples=22))
    with pytest.raises(ValueError, match=r"cannot resume from .*: option settle_fraction was 0\.2, got 0\.5; use"):
        cli.run(config(face_shards, tmp_path, samples=44, settle_fraction=0.5))
    cli.run(config(face_shards, tmp_path, samples=44))
    assert load_state(tmp_path / "landmarks.state.safetensors")[3].samples == 44


def test_checkpoints_record_what_they_measured(face_shards, tmp_path):
    (tmp_path / "landmarks.progress.jsonl").write_text('{"samples": 1, "nme": 1.0}\n')  # of a run whose state is gone
    for samples in (22, 44):
        cli.run(config(face_shards, tmp_path, samples=samples))
    rows = read_progress(tmp_path / "landmarks.progress.jsonl")
    assert [(row["step"], row["samples"]) for row in rows] == [(1, 22), (2, 44)]
    validation = json.loads((tmp_path / "landmarks.json").read_text())["metadata"]["validation"]
    assert rows[-1]["nme"] == validation["nme"]
    assert (tmp_path / "landmarks.progress.png").is_file()


def test_clear_and_hard_faces_are_measured_apart(face_shards):
    store = SampleStore.read(face_shards)
    model = new_model(store, store.faces, 0.25, 32, seed=0)
    batch = validation_batch(store, store.faces, model.mean_shape.numpy(), 32)
    clear = np.arange(len(store.faces)) % 3 == 0
    figures = landmark_metrics(model, batch, store, clear)
    predicted, target = predict(model, batch["image"].numpy()).landmarks, batch["landmarks"].numpy()
    errors = np.linalg.norm(predicted - target, axis=2).mean(axis=1)
    errors /= np.linalg.norm(target[:, 60] - target[:, 72], axis=1)
    frontal = ~(np.abs(batch["pose"].numpy()[:, 1]) > np.radians(60))
    assert figures["nme_clear"] == pytest.approx(errors[frontal & clear].mean(), rel=1e-4)
    assert figures["nme_hard"] == pytest.approx(errors[frontal & ~clear].mean(), rel=1e-4)
    # Data without kinds, as those made before there were any.
    assert set(store.kinds) == {""}
    assert "nme_clear" not in landmark_metrics(model, batch, store, np.zeros(len(clear), bool))


def test_the_likelihood_trains_the_uncertainty_and_not_the_features(face_shards):
    store = SampleStore.read(face_shards)
    gradients = []
    for weight in (0.0, 1.0):
        recipe = replace(cli.RECIPES["atpn", "landmarks"], input_size=32, uncertainty_weight=weight)
        model = new_model(store, store.faces, 0.25, 32, seed=0).train()
        task = LandmarkTask(store, recipe, 0)
        task.begin(model)
        batch = next(iter(task.batches(32, 0)))
        loss, _ = task.loss(model, prepare(batch))
        loss.backward()
        sigma = model.landmark_branch.log_sigma.weight.grad
        gradients.append((model.backbone.stem[0].weight.grad, sigma is not None and bool(sigma.any())))
    (without, _), (likelihood, learns) = gradients
    assert learns
    torch.testing.assert_close(likelihood, without, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("lost", ["landmarks.safetensors", "landmarks.json"])
def test_a_finished_state_without_its_weights_writes_them(face_shards, tmp_path, lost):
    cli.run(config(face_shards, tmp_path, samples=22))
    content = (tmp_path / lost).read_bytes()
    (tmp_path / lost).unlink()
    cli.run(config(face_shards, tmp_path, samples=22))
    assert (tmp_path / lost).read_bytes() == content


@pytest.mark.slow
def test_a_kill_after_the_finished_state_keeps_the_final_weights(face_shards, tmp_path, monkeypatch):
    def killed(*_):
        raise SystemExit

    cli.run(config(face_shards, tmp_path, samples=22))
    with monkeypatch.context() as patch:
        patch.setattr(cli.LandmarkTask, "validate", killed)
        with pytest.raises(SystemExit):
            cli.run(config(face_shards, tmp_path, samples=44))
    cli.run(config(face_shards, tmp_path, samples=44))
    assert load_checkpoint(tmp_path / "landmarks.safetensors")[1]["samples"] == 44
    average = load_state(tmp_path / "landmarks.state.safetensors")[1]
    assert_equal(weights(tmp_path / "landmarks.safetensors"), average.state_dict())


def test_later_stages_need_landmarks(face_shards, tmp_path):
    with pytest.raises(FileNotFoundError, match="train landmarks"):
        cli.run(config(face_shards, tmp_path, "pose"))
    with pytest.raises(CheckpointError, match=r"no checkpoint file .*other\.safetensors"):
        cli.run(config(face_shards, tmp_path, "pose", weights=tmp_path / "other.safetensors"))


def test_a_truncated_state_is_named(face_shards, tmp_path):
    cli.run(config(face_shards, tmp_path, samples=22))
    path = tmp_path / "landmarks.state.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="is not a training state"):
        cli.run(config(face_shards, tmp_path, samples=44))


def test_a_full_disk_while_saving_leaves_the_last_checkpoint(face_shards, tmp_path, monkeypatch):
    cli.run(config(face_shards, tmp_path, samples=22))

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge_runtime.files.os.fsync", full_disk)
    with pytest.raises(OSError, match=r"No space left.*landmarks\.state\.safetensors"):
        cli.run(config(face_shards, tmp_path, samples=44))
    assert not list(tmp_path.glob("*.part"))
    assert load_state(tmp_path / "landmarks.state.safetensors")[3].samples == 22
    load_checkpoint(tmp_path / "landmarks.safetensors")


def test_moments_take_the_layout_of_their_parameters():
    model = torch.nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters())
    moments = torch.rand(6, 4, 3, 3)
    state.restore_moments(model, optimizer, {"weight": {"step": torch.tensor(3.0), "exp_avg": moments}})
    restored = optimizer.state[model.weight]["exp_avg"]
    assert torch.equal(restored, moments)
    assert restored.stride() == model.weight.stride()


def test_the_checkpoint_names_its_data(face_shards, tmp_path):
    cli.run(config(face_shards, tmp_path, samples=22))
    metadata = json.loads((tmp_path / "landmarks.json").read_text())["metadata"]
    assert metadata["data"]["faces"] == 24
    assert metadata["seed"] == 0
    assert metadata["samples"] == 22


@pytest.mark.parametrize("kind", [FaceBatches, TrackingBatches])
def test_batches_depend_on_the_step_alone(face_shards, kind):
    store = SampleStore.read(face_shards)
    mean_shape = np.random.default_rng(0).uniform(0.2, 0.8, (98, 2))
    recipe = replace(RECIPES["atpn", "tracking"], batch_size=22)

    def steps(first, workers, count):
        made = load(kind(store, store.faces, store.backgrounds, mean_shape, recipe, 32, 5, first), workers)
        return [next(made)["image"] for _ in range(count)]

    alone, two, late = steps(0, 0, 4), steps(0, 2, 4), steps(3, 1, 1)
    for a, b in zip(alone, two, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(alone[3], late[0])
    assert not torch.equal(alone[0], alone[1])


def test_each_epoch_shows_each_face_once(face_shards):
    store = SampleStore.read(face_shards)
    recipe = RECIPES["atpn", "landmarks"]
    batches = FaceBatches(store, store.faces, store.backgrounds, np.zeros((98, 2)), recipe, 32, 0)
    epochs = [[batches.face(24 * e + i) for i in range(24)] for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(store.faces)
    assert epochs[0] != epochs[1]


def test_a_tracking_batch_has_ten_negatives_per_face(face_shards):
    store = SampleStore.read(face_shards)
    recipe, mean_shape = RECIPES["atpn", "tracking"], np.random.default_rng(0).uniform(0, 1, (98, 2))
    batches = TrackingBatches(store, store.faces, store.backgrounds, mean_shape, recipe, 32, 0)
    batch = next(iter(batches))
    assert len(batch["image"]) == 121
    assert batch["is_face"].sum() == 11


def test_small_batches_are_refused_for_tracking_alone(face_shards, tmp_path):
    cli.run(config(face_shards, tmp_path / "run", batch_size=8, samples=8))
    with pytest.raises(ValueError, match="use --batch-size 11 or more"):
        cli.run(config(face_shards, tmp_path / "all", "all", batch_size=8, samples=8))
    assert not (tmp_path / "all").exists()  # refused before the landmark stage, not after it


def test_a_broken_picture_is_told_in_one_line(face_shards, tmp_path, monkeypatch):
    def image(store, index):
        raise ValueError(f"the image of sample {store.keys[index]!r} does not decode")

    monkeypatch.setattr(FaceBatches, "batch", lambda self, step, rng: image(self.store, 3))
    with pytest.raises(ValueError, match=r"^the image of sample 'face-00003' does not decode$"):
        cli.run(config(face_shards, tmp_path, workers=1))


def test_schedules():
    cosine, step = RECIPES["atpn", "landmarks"], RECIPES["thesis", "landmarks"]
    assert learning_rate(cosine, 0.0, 0, 0) == pytest.approx(2e-3 / 100)
    assert learning_rate(cosine, 0.5, 1000, 0) == pytest.approx(1e-3)
    assert learning_rate(cosine, 1.0, 1000, 0) == 0
    late = replace(cosine, cooldown_fraction=0.2)
    assert [learning_rate(late, fraction, 1000) for fraction in (0.5, 0.8)] == [2e-3, 2e-3]
    assert learning_rate(late, 0.9, 1000) == pytest.approx(1e-3)
    assert learning_rate(late, 1.0, 1000) == 0
    assert learning_rate(replace(cosine, cooldown_fraction=0.0), 1.0, 1000) == 2e-3
    # Thesis, section 3.3.2: 0.001, reduced by 0.03 of itself after every 4 epochs.
    assert [learning_rate(step, 0.5, 9, e) for e in (0, 3, 4, 8)] == pytest.approx([1e-3, 1e-3, 9.7e-4, 9.409e-4])


def test_minutes_spend_less_on_coarse_crops_than_samples_do():
    recipe = Recipe(samples=1, coarse_fraction=0.5, coarse_size=56, input_size=112)
    assert Budget(samples=10).coarse_until(recipe) == 0.5
    assert Budget(minutes=10).coarse_until(recipe) == pytest.approx(0.2)
    assert Budget(minutes=10).fraction(Progress(seconds=60)) == pytest.approx(0.1)


def test_contradicting_options_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not both"):
        TrainConfig("all", (tmp_path,), tmp_path, minutes=1, samples=1)
    with pytest.raises(ValueError, match="--threads must be positive"):
        TrainConfig("all", (tmp_path,), tmp_path, threads=0)
