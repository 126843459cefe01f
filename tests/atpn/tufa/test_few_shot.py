import json

import cv2
import pytest

from atpn.tufa import evaluate, few_shot
from atpn.tufa import fit as fitting
from atpn.tufa.few_shot import FewShotConfig, measure_few_shot


@pytest.mark.slow
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


def test_more_faces_than_there_are_are_refused_before_any_fit(dense_shards, tiny_tufa, monkeypatch):
    monkeypatch.setattr(few_shot, "fit", None)
    with pytest.raises(ValueError, match="--sizes needs 100"):
        measure_few_shot(FewShotConfig(dense_shards, dense_shards, tiny_tufa, sizes=(1, 100)))


@pytest.mark.slow
def test_what_was_measured_before_a_stop_is_kept_and_each_fit_has_a_seed(
    dense_shards, tiny_tufa, tiny, tmp_path, monkeypatch
):
    seeds = []

    def fit(model, name, plane, faces, mean_shape, steps, seed):
        if len(faces) == 2:
            raise KeyboardInterrupt
        seeds.append(seed)
        return model.with_scheme(name, plane)

    monkeypatch.setattr(few_shot, "fit", fit)
    monkeypatch.setattr(fitting, "ALIGN_STEPS", 20)
    for seed in (0, 1, 0):
        out = tmp_path / "few.json"
        config = FewShotConfig(dense_shards, dense_shards, tiny_tufa, sizes=(1, 2), repeats=2, out=out, seed=seed)
        with pytest.raises(KeyboardInterrupt):
            measure_few_shot(config)
        assert [point["faces"] for point in json.loads(out.read_text())["curve"]] == [0, 1]
    assert seeds[:2] == seeds[4:]
    assert len(set(seeds)) == 4


@pytest.mark.parametrize(("sizes", "message"), [((0, 1), "must be positive"), ((1, 3, 1), r"must differ, got \(1, 3")])
def test_sizes_must_be_positive_and_differ(dense_shards, sizes, message):
    with pytest.raises(ValueError, match=message):
        FewShotConfig(dense_shards, dense_shards, sizes=sizes)


def test_renders_of_turned_faces_alone_are_refused(store, atpn, monkeypatch):
    monkeypatch.setattr(evaluate, "MAX_YAW", -1.0)
    with pytest.raises(ValueError, match="none of these renders' 16 faces with dense points has a yaw below"):
        evaluate.rendered_faces(store, 32, atpn.mean_shape.numpy())
