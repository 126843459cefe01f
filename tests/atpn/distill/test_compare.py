"""`python -m atpn heads`: teacher, prompt head and distilled heads beside each other."""

from __future__ import annotations

import json

import numpy as np

from atpn.__main__ import main
from atpn.data.shards import DENSE_FILE
from atpn.distill import compare
from atpn.distill.compare import heads_table


def test_the_command_compares_three_templates(dense_shards, tiny_atpn, tiny_tufa, tmp_path, monkeypatch, capsys):
    drawn = json.loads((dense_shards / DENSE_FILE).read_text())["drawn"]
    monkeypatch.setattr(compare, "MAKE_UP", drawn)  # the drawn faces have few dense points, and no two may be one
    prompts, out = tmp_path / "prompts.safetensors", tmp_path / "heads"
    options = ["--data", dense_shards, "--out", prompts, "--weights", tiny_atpn, "--crops", 32, "--steps", 5]
    assert main(["prompts", *map(str, [*options, "--rank", 8, "--workers", 0])]) == 0
    options = ["--data", dense_shards, "--held-out", dense_shards, "--out", out, "--teacher", tiny_tufa]
    options += ["--weights", prompts, "--crops", 16, "--steps", 2]
    assert main(["heads", *map(str, options)]) == 0
    report = json.loads((out / "heads.json").read_text())
    templates = report["templates"]
    assert {name: entry["points"] for name, entry in templates.items()} == {"lips": 20, "eyes-brows": 34, "make-up": 12}
    errors = [entry["rendered"][who] for entry in templates.values() for who in ("teacher", "prompt_head", "distilled")]
    assert len(errors) == 9
    assert np.isfinite(errors).all()
    assert min(errors) > 0
    assert all(report["milliseconds"][name] > 0 for name in ("atpn", "template_head", "prompt_head", "tufa"))
    assert (out / "lips.safetensors").is_file()
    assert (out / "heads.md").read_text() in capsys.readouterr().out


def test_a_checkpoint_without_prompts_is_refused(dense_shards, tiny_atpn, tiny_tufa, tmp_path, capsys):
    options = ["--data", dense_shards, "--held-out", dense_shards, "--out", tmp_path, "--teacher", tiny_tufa]
    assert main(["heads", *map(str, [*options, "--weights", tiny_atpn])]) == 1
    assert "`python -m atpn prompts` trains one" in capsys.readouterr().err


def test_growth_is_over_the_teacher():
    entry = {"points": 20, "afw": {"teacher": 0.05, "prompt_head": 0.04, "distilled": 0.055}}
    line = heads_table({"templates": {"lips": entry}}).splitlines()[2]
    assert line == "| lips (20) | afw | 5.00 | 4.00 (-20.0 %) | 5.50 (+10.0 %) |"
