from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from atpn.__main__ import main
from atpn.data.crops import NO_JITTER, JitterConfig, compute_mean_shape
from atpn.data.sample import Sample
from atpn.data.shards import write_shard
from atpn.data.store import SampleStore
from atpn.evaluate.crops import validation_batch
from atpn.model import ATPN, ATPNConfig, load_checkpoint
from atpn.train import mixing
from atpn.train.config import RECIPES
from atpn.train.dataset import prepare
from atpn.train.landmarks import LandmarkTask
from atpn.train.mixing import Alignment, OtherSet, similarity, split_batch
from edge_runtime.geometry import rotation_2d
from edge_runtime.landmarks import CELEBA_5, IBUG_68, WFLW_98, convert

RIGHT, DOWN = 0.02, 0.03
"""What the other convention adds to the brows and the jaw, shares of a face's size."""


def shifted(landmarks, mean_shape):
    """The other convention's labels: jaws and brows moved in the face's own frame."""
    cosine, sine = (float(v) for v in similarity(torch.tensor(mean_shape), torch.tensor(landmarks)[None]))
    offset = np.zeros((98, 2), np.float32)
    offset[:33], offset[33:51] = (0, DOWN), (RIGHT, 0)
    return landmarks + offset @ np.array([[cosine, sine], [-sine, cosine]], np.float32)


@pytest.fixture(scope="module")
def conventions(tmp_path_factory, make_shards):
    """Drawn faces; others, whose 68 labels follow another convention; and the mean shape of the first."""
    folder = tmp_path_factory.mktemp("conventions")
    reference = SampleStore.read(make_shards(folder / "reference", faces=24, seed=0))
    mean_shape = compute_mean_shape(reference.landmarks[reference.faces], WFLW_98)
    drawn = SampleStore.read(make_shards(folder / "drawn", faces=24, seed=1))
    for name, store in (("other", drawn), ("twin", reference)):
        samples = []
        for sample in (store[int(index)] for index in store.faces):
            landmarks = convert(shifted(sample.landmarks, mean_shape), WFLW_98, IBUG_68)
            samples.append(Sample(sample.image, landmarks, IBUG_68, key=sample.key))
        (folder / name).mkdir()
        write_shard(folder / name / "a.tar", samples)
    return folder, reference, SampleStore.read(folder / "other"), mean_shape


def task_of(conventions, **changes):
    _, reference, other, mean_shape = conventions
    recipe = replace(RECIPES["atpn", "landmarks"], **{"batch_size": 24, "jitter": NO_JITTER} | changes)
    task = LandmarkTask(reference, recipe, 0, others=(OtherSet(other, 1.0),))
    model = ATPN(ATPNConfig(width=0.25, input_size=48, conventions=1), torch.from_numpy(mean_shape))
    task.begin(model)
    return task, model


@pytest.mark.slow
def test_a_known_offset_is_found_whatever_the_network_says_of_it(conventions):
    # A network that is right by the reference: its own batch's labels. What is left of the other's error is the offset.
    task, model = task_of(conventions, jitter=RECIPES["atpn", "landmarks"].jitter)
    mean_shape = conventions[3]
    offsets = model.landmark_branch.offsets
    optimizer = torch.optim.Adam([offsets], 0.001)
    batches = task.batches(48, 0)
    for step in range(120):
        batch = batches.batch(step, np.random.default_rng(step))
        said = right_landmarks(batch, mean_shape)
        loss = sum(
            (part.landmarks - part.target).abs().mean()
            for part in task.alignment.parts(model, said, torch.zeros(24, 98), batch)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = offsets.detach()[0]
    kept = convert(np.arange(98.0)[:, None], WFLW_98, IBUG_68).astype(int).ravel()
    jaw, brows, rest = (kept[(kept >= low) & (kept < high)] for low, high in ((0, 33), (33, 51), (51, 98)))
    np.testing.assert_allclose(found[jaw], np.tile((0, DOWN), (len(jaw), 1)), atol=0.004)
    np.testing.assert_allclose(found[brows], np.tile((RIGHT, 0), (len(brows), 1)), atol=0.004)
    np.testing.assert_allclose(found[rest], 0, atol=0.004)


def right_landmarks(batch, mean_shape):
    """(B, 98, 2) by the reference: the labels, with the other convention's offset taken out, mirrored where needed."""
    said = torch.zeros(len(batch["landmarks"]), 98, 2)
    kept = [int(i) for i in convert(np.arange(98.0)[:, None], WFLW_98, IBUG_68).ravel()]
    for i in range(len(said)):
        labels = batch["landmarks"][i].clone()
        if batch["source"][i] == 0:
            said[i] = labels
            continue
        labels = labels[:68]
        offset = torch.zeros(98, 2)
        offset[:33], offset[33:51] = torch.tensor((0, DOWN)), torch.tensor((RIGHT, 0.0))
        if batch["flipped"][i]:
            offset = offset[WFLW_98.mirror.copy()] * torch.tensor((-1.0, 1.0))
        shape = torch.from_numpy(convert(mean_shape, WFLW_98, IBUG_68))
        cosine, sine = (float(v) for v in similarity(shape, labels[None]))
        said[i, kept] = labels - offset[kept] @ torch.tensor([[cosine, sine], [-sine, cosine]])
    return said


@pytest.mark.slow
def test_training_on_both_learns_the_offset_and_keeps_the_reference(conventions):
    # The same images under both conventions, framed at random: only the offset can tell them apart.
    _, reference, _, mean_shape = conventions
    twin = SampleStore.read(conventions[0] / "twin")
    task, model = task_of((None, reference, twin, mean_shape), jitter=JitterConfig())
    optimizer = torch.optim.Adam(model.train().parameters(), 0.003)
    batches, found = task.batches(48, 0), []
    for step in range(50):
        batch = batches.batch(step, np.random.default_rng(step))
        loss, parts = task.loss(model, prepare(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(model.landmark_branch.offsets.detach()[0].clone())
    assert {"points", "points-1", "gaps-1", "range"} <= parts.keys()
    found = torch.stack(found[-20:]).mean(dim=0)
    assert found[0:33:2, 1].mean() == pytest.approx(DOWN, abs=0.012)
    assert found[[33, 34, 35, 36, 37, 42, 43, 44, 45, 46], 0].mean() == pytest.approx(RIGHT, abs=0.012)


def test_a_trained_network_measures_the_offsets_first(conventions, monkeypatch):
    _, _, other, mean_shape = conventions

    def right_by_the_reference(model, crops):
        batch = validation_batch(other, other.split()[0], convert(mean_shape, WFLW_98, IBUG_68), 48)
        whole = torch.full((len(crops), 98, 2), torch.nan)
        whole[:, :68] = batch["landmarks"]
        flags = {"source": torch.ones(len(crops), dtype=int), "flipped": torch.zeros(len(crops), dtype=bool)}
        return SimpleNamespace(landmarks=right_landmarks({"landmarks": whole, **flags}, mean_shape).numpy())

    monkeypatch.setattr(mixing, "predict", right_by_the_reference)
    model = ATPN(ATPNConfig(width=0.25, input_size=48), torch.from_numpy(mean_shape))
    found = mixing.measure_offsets(model, [other]).landmark_branch.offsets.detach()[0]
    np.testing.assert_allclose(found[0:33:2], np.tile((0, DOWN), (17, 1)), atol=1e-3)
    np.testing.assert_allclose(found[1:33:2], 0)  # 68 points have no such landmarks
    np.testing.assert_allclose(found[51:60], 0, atol=1e-3)


def test_batches_keep_the_proportions_and_depend_on_the_step_alone(conventions):
    _, reference, other, mean_shape = conventions
    recipe = replace(RECIPES["atpn", "landmarks"], batch_size=12)
    task = LandmarkTask(reference, recipe, 0, others=(OtherSet(other, 0.5),))
    task.begin(ATPN(ATPNConfig(width=0.25, input_size=48, conventions=1), torch.from_numpy(mean_shape)))
    first, again = (task.batches(48, 3).batch(3, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first["image"], again["image"])
    assert torch.bincount(first["source"]).tolist() == [8, 4]
    assert first["landmarks"].shape == (12, 98, 2)
    assert torch.isnan(first["landmarks"][first["source"] == 1, 68:]).all()


@pytest.mark.parametrize(
    ("size", "weights", "counts"),
    [(32, [1, 1], [16, 16]), (32, [1, 0.5], [21, 11]), (10, [1, 1, 1], [4, 3, 3]), (8, [6, 2], [6, 2])],
)
def test_weights_become_whole_crops(size, weights, counts):
    assert sorted(split_batch(size, weights), reverse=True) == counts
    with pytest.raises(ValueError, match="has no crop for one of the weights"):
        split_batch(4, [1, 100])


def test_similarity_passes_over_what_is_unknown():
    shape = np.random.default_rng(0).uniform(0.2, 0.8, (68, 2)).astype(np.float32)
    faces = np.stack([1.5 * shape @ rotation_2d(0.3).T + 2, 0.7 * shape @ rotation_2d(-1.2).T]).astype(np.float32)
    faces[0, :30] = np.nan
    cosine, sine = similarity(torch.from_numpy(shape), torch.from_numpy(faces))
    np.testing.assert_allclose(torch.hypot(cosine, sine).ravel(), (1.5, 0.7), atol=1e-4)
    np.testing.assert_allclose(torch.atan2(sine, cosine).ravel(), (0.3, -1.2), atol=1e-4)


def test_schemes_that_cannot_be_mixed_are_refused(conventions):
    _, reference, other, mean_shape = conventions
    with pytest.raises(ValueError, match="no conversion from ibug68 to wflw98"):
        Alignment(IBUG_68, [WFLW_98], convert(mean_shape, WFLW_98, IBUG_68))
    with pytest.raises(ValueError, match="cannot mix celeba5 with wflw98"):
        Alignment(WFLW_98, [CELEBA_5], mean_shape)
    with pytest.raises(ValueError, match="do not support several sets"):
        LandmarkTask(
            reference, replace(RECIPES["atpn", "landmarks"], semantic_alignment=True), 0, others=(OtherSet(other, 1.0),)
        )


def test_the_command_mixes_and_the_offsets_go_with_the_run(conventions, tmp_path, capsys):
    folder, *_ = conventions
    command = ["train", "landmarks", "--data", folder / "reference", folder / "other", "--out", tmp_path / "run"]
    command += [
        "--sampling-weights",
        "1",
        "0.5",
        "--samples",
        "24",
        "--batch-size",
        "12",
        "--width",
        "0.25",
        "--workers",
        "0",
    ]
    assert main([*map(str, command), "--device", "cpu", "--bfloat16", "off"]) == 0
    model, metadata = load_checkpoint(tmp_path / "run" / "landmarks.safetensors")
    assert model.landmark_branch.offsets.abs().max() > 0
    assert metadata["data"]["sampling_weights"] == [1.0, 0.5]
    assert metadata["data"]["faces"] == 48
    command = ["train", "all", "--data", folder / "reference", folder / "other", "--out", tmp_path / "all"]
    assert main(list(map(str, command))) == 1
    assert "several are for the landmark stage alone" in capsys.readouterr().err
