import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from atpn.__main__ import main
from atpn.ablation import command as ablation
from atpn.ablation.command import AblateConfig, row_recipe
from atpn.ablation.rows import TABLES
from atpn.data.store import SampleStore
from atpn.model import load_checkpoint


@pytest.fixture(autouse=True)
def small(monkeypatch):
    recipes = {
        key: replace(recipe, batch_size=22, coarse_size=32, input_size=48, warmup_steps=2)
        for key, recipe in ablation.RECIPES.items()
    }
    monkeypatch.setattr(ablation, "RECIPES", recipes)
    monkeypatch.setattr(ablation.os, "nice", lambda _: 0)


def options(face_shards, out, *rows, samples=44):
    given = ["--data", face_shards, "--held-out", face_shards, "--out", out, "--samples", samples, "--width", 0.25]
    return ["ablate", *map(str, [*given, "--workers", 0, "--bfloat16", "off", "--device", "cpu", "--rows", *rows])]


@pytest.mark.slow
def test_rows_are_trained_once_and_compared(face_shards, drawn_afw, tmp_path, monkeypatch, capsys):
    trained, train = [], ablation._train

    def counted(name, *arguments):
        trained.append(name)
        return train(name, *arguments)

    monkeypatch.setattr(ablation, "_train", counted)
    with_afw = ["--afw", str(drawn_afw)]
    assert main([*options(face_shards, tmp_path, "default"), *with_afw]) == 0
    assert main([*options(face_shards, tmp_path, "default", "no-gap"), *with_afw]) == 0
    assert trained == ["default", "no-gap"]
    report = json.loads((tmp_path / "ablation.json").read_text())
    assert list(report["rows"]) == ["default", "no-gap"]
    assert report["rows"]["no-gap"]["recipe"]["gap_weight"] == 0
    assert report["rows"]["no-gap"]["afw"]["faces"] == 3
    table = (tmp_path / "ablation.md").read_text()
    assert table in capsys.readouterr().out
    assert "| no gap loss |" in table
    assert "which chose nothing here" in table
    # Rows of another length would not compare.
    assert main([*options(face_shards, tmp_path, "no-gap", samples=66), *with_afw]) == 1
    assert "option samples was 44, got 66" in capsys.readouterr().err


@pytest.mark.parametrize("table", TABLES)
def test_each_row_changes_one_thing(tmp_path, table):
    config = AblateConfig(tmp_path, tmp_path, tmp_path, table=table, coarse_fraction=0.5, weights=tmp_path)
    default = row_recipe("default", config)
    recipes = {name: row_recipe(name, config) for name in TABLES[table] if name != "default"}
    assert all(recipe != default for recipe in recipes.values())
    assert len(set(map(repr, recipes.values()))) == len(recipes)
    if table == "recipe":
        assert recipes["no-cover"] == replace(default, augment=replace(default.augment, cover=0.0))
        assert recipes["thesis"].landmark_loss == "thesis"
        assert recipes["thesis"].coarse_fraction == 0.5
    elif table == "heatmaps":
        assert all(recipe.network == default.network for recipe in recipes.values())
        assert all(recipe.label_noise.level == 1 for recipe in recipes.values())
    elif table == "noise":
        assert all(recipe.label_noise.level == 1 for recipe in recipes.values())
        assert recipes["noise"] == replace(default, label_noise=recipes["noise"].label_noise)
    else:
        assert all(recipe == replace(default, without=recipe.without) for recipe in recipes.values())


@pytest.mark.slow
def test_every_way_with_wrong_labels_trains_from_the_same_features(face_shards, tmp_path, tiny_weights, capsys):
    given = ["--table", "noise", "--weights", tiny_weights, "--faces", 20, "--batch-size", 10, "--input-size", 48]
    given += ["--coarse-fraction", 0]
    names = [name for name in TABLES["noise"] if name != "noise-shape-correction"]  # 20 faces give no 40 components
    assert main([*options(face_shards, tmp_path, *names, samples=20), *map(str, given)]) == 0
    report = json.loads((tmp_path / "ablation.json").read_text())
    assert list(report["rows"]) == names
    assert report["setup"]["training_faces"] == 20
    assert report["setup"]["start"].startswith("tiny.safetensors ")
    assert all(row["rendered"]["nme"] > 0 for row in report["rows"].values())
    assert "from the features of tiny.safetensors" in (tmp_path / "ablation.md").read_text()
    assert main([*options(face_shards, tmp_path, "noise-shape-correction", samples=20), *map(str, given)]) == 1
    assert "40 shape components need more shapes" in capsys.readouterr().err


@pytest.mark.slow
def test_a_readout_alone_learns_from_crops_seen_once(face_shards, tmp_path, tiny_weights, monkeypatch, capsys):
    seen, see = [], ablation.embed_crops

    def counted(*arguments):
        seen.append(see(*arguments))
        return seen[-1]

    monkeypatch.setattr(ablation, "embed_crops", counted)
    given = ["--table", "noise", "--weights", tiny_weights, "--views", 3, "--batch-size", 12, "--input-size", 48]
    names = ["default", "noise-semantic-alignment", "noise-star"]
    assert main([*options(face_shards, tmp_path, *names, samples=36), *map(str, given)]) == 0
    assert len(seen) == 1
    crops, store = seen[0], SampleStore.read(face_shards)
    assert len(crops.vectors) == 3 * 24 == len(np.unique(crops.regions, axis=0))
    # A label's place in a crop is where its pixels went: eyes stay left and right also in mirrored crops.
    placed = crops.landmarks(store.landmarks, store.scheme.mirror)
    assert 10 < crops.flipped.sum() < 62
    assert (np.median(placed[:, 60, 0]), np.median(placed[:, 72, 0])) == pytest.approx((0.3, 0.7), abs=0.12)
    start, _ = load_checkpoint(tiny_weights)
    trained, _ = load_checkpoint(tmp_path / "default" / "landmarks.safetensors")
    changed = {name for name, value in trained.state_dict().items() if not torch.equal(value, start.state_dict()[name])}
    assert changed <= {
        f"landmark_branch.{head}.{kind}" for head in ("residual", "log_sigma") for kind in ("weight", "bias")
    }
    assert "held fixed, seen in 3 crops of each face" in (tmp_path / "ablation.md").read_text()
    with pytest.raises(ValueError, match="give --weights, too"):
        AblateConfig(tmp_path, tmp_path, tmp_path, views=2)


def test_unknown_rows_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"unknown rows no-glue; known: default, thesis"):
        AblateConfig(tmp_path, tmp_path, tmp_path, rows=("no-glue",))


def test_held_out_renders_without_a_known_yaw_are_refused(tiny_weights, monkeypatch):
    report = {"landmarks": {"nme": 0.04}}
    monkeypatch.setattr(ablation, "evaluate_rendered", lambda *given, **options: report)
    with pytest.raises(ValueError, match="no face of a known yaw up to 60°: give others by --held-out"):
        ablation.measure(load_checkpoint(tiny_weights)[0], None, [], 10)
    report["landmarks_yaw_60"] = {"nme": 0.03}
    assert ablation.measure(load_checkpoint(tiny_weights)[0], None, [], 10) == {"rendered": {"nme": 0.03}}


@pytest.mark.slow
def test_parts_of_the_landmark_branch_are_left_out_row_by_row(face_shards, tmp_path):
    command = [*options(face_shards, tmp_path, samples=22)[:-1], "--table", "landmark-branch"]
    assert main(command) == 0
    report = json.loads((tmp_path / "ablation.json").read_text())
    missing = {}
    for name in TABLES["landmark-branch"]:
        model, _ = load_checkpoint(tmp_path / name / "landmarks.safetensors")
        assert (model.config.separable_views, model.config.refinement_channels) == (False, 0)
        missing[name] = model.config.missing_parts
        assert report["rows"][name]["rendered"]["nme"] > 0
    assert missing == {
        "default": (),
        "no-coord-conv": ("coord_conv",),
        "no-multiview": ("multiview",),
        "low-features": ("multiview", "coord_conv"),
        "baseline": ("low_features", "multiview", "coord_conv"),
    }


@pytest.mark.slow
def test_branches_are_compared_on_the_same_landmarks(face_shards, tmp_path, tiny_weights):
    command = [*options(face_shards, tmp_path, samples=22)[:-1], "--table", "branches", "--weights", str(tiny_weights)]
    assert main([*command, "--input-size", "48"]) == 0
    report = json.loads((tmp_path / "ablation.json").read_text())
    assert list(report["rows"]) == ["default", "no-heatmap", "own-backbone"]
    trained, _ = load_checkpoint(tiny_weights)
    for name, row in report["rows"].items():
        model, _ = load_checkpoint(tmp_path / name / "pose.safetensors")
        assert set(model.config.missing_parts) == set(row["recipe"]["pose"]["without"])
        for key, value in trained.landmark_branch.state_dict().items():
            assert torch.equal(model.landmark_branch.state_dict()[key], value)
        assert row["pose"]["count"] == 24
        assert row["tracking"]["positives"] == 24
        assert row["background"]["crops"] == 16
        assert (tmp_path / name / "backgrounds.jpg").is_file()
    table = (tmp_path / "ablation.md").read_text()
    assert "| single-task networks with the same layers (baseline) |" in table
    assert "tiny.safetensors" in table


def test_branches_need_trained_landmarks(tmp_path):
    with pytest.raises(ValueError, match="give --weights"):
        AblateConfig(tmp_path, tmp_path, tmp_path, table="branches")


@pytest.mark.slow
def test_heatmaps_are_compared_with_coordinates_on_the_same_labels(face_shards, tmp_path):
    command = [*options(face_shards, tmp_path, samples=22)[:-1], "--table", "heatmaps"]
    assert main(command) == 0
    report = json.loads((tmp_path / "ablation.json").read_text())
    kinds = {}
    for name, row in report["rows"].items():
        model, _ = load_checkpoint(tmp_path / name / "landmarks.safetensors")
        kinds[name] = model.config.heatmaps
        assert row["rendered"]["nme"] > 0
    assert list(kinds) == list(TABLES["heatmaps"])
    assert [kind for name, kind in kinds.items() if name.startswith("heatmap-")] == ["distribution"] * 2 + [
        "gaussian"
    ] * 2
    with pytest.raises(ValueError, match="leave --views out"):
        AblateConfig(tmp_path, tmp_path, tmp_path, table="heatmaps", weights=tmp_path, views=2)
