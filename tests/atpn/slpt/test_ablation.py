import json

import pytest

from atpn.slpt import train as training
from atpn.slpt.ablation import ROWS, AblateSLPTConfig, ablate
from atpn.slpt.train import TrainSLPTConfig


def test_rows_are_trained_and_put_beside_the_published_ones(face_shards, tmp_path, monkeypatch, tiny_config, capsys):
    monkeypatch.setattr(training, "SIZES", {"small": tiny_config})
    options = AblateSLPTConfig(face_shards, face_shards, tmp_path, samples=16, workers=0, rows=("stages-1", "l2"))
    report = ablate(options)
    assert json.loads((tmp_path / "ablation.json").read_text()) == report
    assert [len(report["rows"][name]["rendered"]["stages"]) for name in ("stages-1", "l2")] == [1, 3]
    assert "rank_correlation" in report["rows"]["stages-1"]["rendered"]
    assert "rank_correlation" not in report["rows"]["l2"]["rendered"]
    table = (tmp_path / "ablation.md").read_text()
    assert table in capsys.readouterr().out
    assert table.splitlines()[0] == "| variant | rendered: stages | WFLW, published |"
    assert table.splitlines()[2].startswith("| stages-1 | ")
    assert table.splitlines()[2].endswith(" | 4.34 |")


def test_every_row_is_a_network(face_shards, tmp_path):
    for name, row in ROWS.items():
        config = TrainSLPTConfig(data=face_shards, out=tmp_path, **row.changes).architecture()
        expected = {key: value for key, value in row.changes.items() if key != "shrink"}
        assert {key: getattr(config, key) for key in expected} == expected, name


def test_unknown_rows_are_refused(face_shards, tmp_path):
    with pytest.raises(ValueError, match="unknown variants heatmap; known: default, stages-1"):
        AblateSLPTConfig(face_shards, face_shards, tmp_path, rows=("heatmap",))
