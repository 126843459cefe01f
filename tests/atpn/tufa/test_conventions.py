import json
from dataclasses import replace

import numpy as np
import pytest

from atpn.__main__ import main
from atpn.data.crops import compute_mean_shape
from atpn.train.config import Recipe
from atpn.tufa import conventions
from atpn.tufa import train as training
from atpn.tufa.anchors import DENSE
from atpn.tufa.config import TUFAConfig
from atpn.tufa.conventions import displacement, true_offsets, two_conventions
from edge_runtime.landmarks import WFLW_98


def test_labels_move_by_the_offsets_through_the_map_of_the_face(store):
    mean = compute_mean_shape(store.landmarks[store.faces], WFLW_98)
    plane = np.random.default_rng(0).uniform(0.1, 0.9, (200, 2))
    turn = np.array([[0.9, 0.2], [-0.3, 1.1]]) * 50
    labels, dense = mean @ turn + (4, 7), plane @ turn + (4, 7)
    moved = labels + displacement(plane, mean) @ dense
    np.testing.assert_allclose(moved, (mean + true_offsets()) @ turn + (4, 7), atol=1e-3)


def test_the_two_sets_are_of_different_people_and_one_has_dense_points(store):
    ours, theirs = two_conventions(store)
    assert set(ours.store.faces) | set(theirs.store.faces) == set(store.with_dense)
    assert not set(ours.store.faces) & set(theirs.store.faces)
    assert (ours.sources, theirs.sources) == (("ours", DENSE), ("theirs",))
    index = theirs.store.faces[0]
    assert np.abs(theirs.store.landmarks[index] - store.landmarks[index]).mean() > 0.3
    np.testing.assert_array_equal(theirs.store[int(index)].landmarks, theirs.store.landmarks[index])


@pytest.mark.slow
def test_the_command_compares_both_and_does_not_train_again(dense_shards, tmp_path, monkeypatch, capsys):
    tiny = TUFAConfig(input_size=32, dim=32, depth=1, heads=2, decoder_depth=1)
    monkeypatch.setattr(training, "SIZES", {"small": tiny})
    recipe = Recipe(samples=64, batch_size=8, lr=1e-3, warmup_steps=2)
    monkeypatch.setattr(training, "RECIPE", replace(recipe, input_size=32))
    options = ["--data", dense_shards, "--held-out", dense_shards, "--out", tmp_path, "--samples", 16]
    options = [*map(str, ["tufa", "conventions", *options, "--workers", 0, "--weights", None])]
    assert main(options) == 0
    report = json.loads((tmp_path / "conventions.json").read_text())
    assert all(0 < report[run][name] < 1 for run in ("with", "without") for name in ("ours", "theirs"))
    assert 0.01 < report["offsets"]["before"] < 0.03
    assert "as learned" in capsys.readouterr().out
    monkeypatch.setattr(conventions.TUFA, "forward", None)
    assert main(options) == 0


def test_renders_without_dense_points_are_refused(face_shards, tmp_path, capsys):
    options = ["--data", face_shards, "--held-out", face_shards, "--out", tmp_path]
    assert main([*map(str, ["tufa", "conventions", *options])]) == 1
    assert "has no dense points; render it again" in capsys.readouterr().err
