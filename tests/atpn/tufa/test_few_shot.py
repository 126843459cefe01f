import json

import cv2
import numpy as np
import pytest

from atpn.data.sample import Sample
from atpn.data.shards import write_shard
from atpn.model import save_checkpoint
from atpn.tufa import evaluate, few_shot
from atpn.tufa import fit as fitting
from atpn.tufa.anchors import converted
from atpn.tufa.few_shot import FewShotConfig, measure_few_shot
from atpn.tufa.network import new_tufa
from edge_runtime.landmarks import COFW_29


@pytest.mark.slow
def test_the_curve_has_a_point_per_size(dense_shards, tiny_tufa, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(fitting, "ALIGN_STEPS", 20)
    out, plot = tmp_path / "few.json", tmp_path / "few.png"
    config = FewShotConfig(dense_shards, dense_shards, tiny_tufa, sizes=(1, 3), repeats=2, steps=1, out=out, plot=plot)
    report = measure_few_shot(config)
    assert json.loads(out.read_text()) == report
    assert [(point["faces"], len(point["draws"])) for point in report["curve"]] == [(0, 1), (1, 2), (3, 2)]
    assert all(0 < error < 1 for point in report["curve"] for error in point["draws"])
    assert 20 <= report["held_out_faces"] <= 24
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


def test_few_faces_are_drawn_to_where_the_points_are_placed_without_any(monkeypatch):
    monkeypatch.setattr(few_shot, "mean_shape_on_plane", lambda model, faces: np.ones((68, 2)))
    monkeypatch.setattr(few_shot, "PLACING_FACES", 3)
    for faces, weight in ((1, 0.25), (3, 0.5), (97, 0.97)):
        plane = few_shot.initial_plane(None, [None] * faces, np.zeros((68, 2)))
        np.testing.assert_allclose(plane, weight)


@pytest.mark.slow
def test_another_dataset_s_layout_is_learned(dense_shards, store, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fitting, "ALIGN_STEPS", 5)
    (tmp_path / "cofw").mkdir()
    samples = [store[int(i)] for i in store.faces[:6]]
    write_shard(
        tmp_path / "cofw" / "a.tar",
        [Sample(s.image, converted(s.landmarks, "cofw29"), COFW_29, key=s.key) for s in samples],
    )
    path = tmp_path / "known.safetensors"
    sets = {"renders": "ibug68"}
    shapes = {"renders": tiny.mean_shapes[tiny.rows("ibug68")].numpy()}
    save_checkpoint(path, new_tufa(tiny.config, shapes, 0, sets), {"sources": ["renders"]})
    options = {"scheme": "cofw29", "sizes": (1,), "fractions": (0.5,), "repeats": 1, "steps": 1}
    report = measure_few_shot(FewShotConfig(tmp_path / "cofw", tmp_path / "cofw", path, **options))
    assert [point["faces"] for point in report["curve"]] == [0, 1, 3]
    assert report["held_out_faces"] == 6
    assert "thesis" not in capsys.readouterr().out


def test_the_thesis_numbers_stand_beside_ours_on_wflw(tmp_path):
    config = FewShotConfig(tmp_path, tmp_path, scheme="wflw98", sizes=(10, 30), fractions=(0.05, 1))
    curve = [{"faces": n, "nme": 0.06} for n in (0, 10, 30, 375, 7500)]
    lines = few_shot.table(config, curve, 7500).splitlines()
    assert ["5.20" in lines[1], "thesis" in lines[2], "4.43" in lines[3], "3.99" in lines[4]] == [
        True,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"fractions": (1.5,)}, "--fractions must lie between"), ({"scheme": "mine"}, "unknown landmark scheme")],
)
def test_other_options_are_checked(dense_shards, options, message):
    with pytest.raises(ValueError, match=message):
        FewShotConfig(dense_shards, dense_shards, **options)
