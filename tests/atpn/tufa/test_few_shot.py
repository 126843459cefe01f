import json

import cv2
import pytest

from atpn.tufa import fit as fitting
from atpn.tufa.few_shot import FewShotConfig, measure_few_shot


def test_the_curve_has_a_point_per_size(dense_shards, tiny_tufa, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(fitting, "ALIGN_STEPS", 20)
    out, plot = tmp_path / "few.json", tmp_path / "few.png"
    config = FewShotConfig(dense_shards, dense_shards, tiny_tufa, sizes=(1, 3), repeats=2, steps=1, out=out, plot=plot)
    report = measure_few_shot(config)
    assert json.loads(out.read_text()) == report
    assert [(point["faces"], len(point["draws"])) for point in report["curve"]] == [(0, 1), (1, 2), (3, 2)]
    assert all(0 < error < 1 for point in report["curve"] for error in point["draws"])
    assert 12 <= report["held_out_faces"] <= 16
    assert cv2.imread(str(plot)).shape == (480, 640, 3)
    assert "trained with ibug68, wflw98, so these 68 points are not new to it" in caplog.text


def test_more_faces_than_there_are_are_refused(dense_shards, tiny_tufa):
    with pytest.raises(ValueError, match="--sizes asks for 100"):
        measure_few_shot(FewShotConfig(dense_shards, dense_shards, tiny_tufa, sizes=(100,)))


def test_sizes_must_be_positive(dense_shards):
    with pytest.raises(ValueError, match="must be positive"):
        FewShotConfig(dense_shards, dense_shards, sizes=(0, 1))
