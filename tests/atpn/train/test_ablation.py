import json
from dataclasses import replace

import pytest

from atpn.__main__ import main
from atpn.train import ablation
from atpn.train.ablation import ROWS, AblateConfig, row_recipe


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
    return ["ablate", *map(str, [*given, "--workers", 0, "--no-bfloat16", "--device", "cpu", "--rows", *rows])]


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
    assert "samples: 44 before, 66 now" in capsys.readouterr().err


def test_each_row_changes_one_thing():
    default = row_recipe("default", 0.5)
    recipes = {name: row_recipe(name, 0.5) for name in ROWS if name != "default"}
    assert all(recipe != default for recipe in recipes.values())
    assert len(set(map(repr, recipes.values()))) == len(recipes)
    assert recipes["no-cover"] == replace(default, augment=replace(default.augment, cover=0.0))
    assert recipes["thesis"].landmark_loss == "thesis"
    assert recipes["thesis"].coarse_share == 0.5


def test_unknown_rows_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"unknown rows no-glue; known: default, thesis"):
        AblateConfig(tmp_path, tmp_path, tmp_path, rows=("no-glue",))
