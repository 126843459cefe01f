"""`python -m atpn tufa ablate`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from atpn.__main__ import main
from atpn.train.config import Recipe
from atpn.tufa import ablation
from atpn.tufa import train as training
from atpn.tufa.ablation import ROWS, ablation_table
from atpn.tufa.config import TUFAConfig
from atpn.tufa.train import TrainTUFAConfig


@pytest.mark.parametrize("name", ROWS)
def test_every_variant_is_a_training_that_exists(name, tmp_path):
    base = TrainTUFAConfig((tmp_path,), tmp_path)
    assert (replace(base, **ROWS[name]) == base) == (name == "all")


@pytest.mark.slow
def test_the_command_trains_measures_and_does_not_train_again(dense_shards, tmp_path, monkeypatch, capsys):
    tiny = TUFAConfig(input_size=32, dim=32, depth=1, heads=2, decoder_depth=1)
    monkeypatch.setattr(training, "SIZES", {"small": tiny})
    monkeypatch.setattr(training, "RECIPE", Recipe(samples=64, batch_size=8, lr=1e-3, warmup_steps=2))
    options = ["--data", dense_shards, "--held-out", dense_shards, "--out", tmp_path, "--samples", 16, "--workers", 0]
    arguments = ["tufa", "ablate", *options, "--rows", "no-dense", "masked-85"]
    assert main([str(argument) for argument in arguments]) == 0
    first = json.loads((tmp_path / "ablation.json").read_text())
    rendered = {name: row["rendered"] for name, row in first["rows"].items()}
    assert set(rendered) == {"no-dense", "masked-85"}
    assert {"wflw98", "ibug68", "cofw29"} <= set(rendered["no-dense"])
    assert "ibug68" not in rendered["masked-85"], "it was trained with 98 points alone"
    written = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("*/tufa.safetensors"))]
    assert main([str(argument) for argument in arguments]) == 0
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("*/tufa.safetensors"))] == written
    assert (tmp_path / "ablation.md").read_text() in capsys.readouterr().out


def test_the_table_has_a_dash_where_a_variant_knows_no_such_scheme():
    row = {"rendered": {"wflw98": 0.05, "dense": 0.0612}, "afw": {"zero_shot": 0.07}}
    line = ablation_table({"rows": {"masked-0": row}}).splitlines()[2]
    assert line == "| masked-0 | 5.00 | - | - | - | 6.12 | - | - | 7.00 |"


def test_unknown_variants_are_named(tmp_path):
    with pytest.raises(ValueError, match="unknown variants all-of-it; known: all, no-alignment"):
        ablation.AblateTUFAConfig(tmp_path, tmp_path, tmp_path, rows=("all-of-it",))
