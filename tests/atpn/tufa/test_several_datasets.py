"""TUFA over several datasets, from their files to the evaluation, on replicas."""

import json
from typing import get_args

import numpy as np
import pytest
import torch

from atpn.__main__ import main
from atpn.evaluate.command import SchemeProtocol
from atpn.evaluate.passes import region_of
from atpn.model import load_network, save_checkpoint
from atpn.train.config import Recipe
from atpn.tufa import train as training
from atpn.tufa.anchors import converted
from atpn.tufa.backend import PROTOCOL_ANCHORS, AnchorPredictor, protocol_anchors
from atpn.tufa.config import TUFAConfig
from atpn.tufa.evaluate import EvaluateTUFAConfig
from atpn.tufa.network import TUFA, new_tufa
from atpn.tufa.train import TrainTUFAConfig, set_names
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import CELEBA_5, COFW_29

DATASETS = {"wflw": "wflw", "300w": "ibug300w", "cofw": "cofw", "merl-rav": "merl_rav"}
"""Datasets of the thesis' chapter 6, and the replicas' writers."""
OPTIONS = {"wflw": {"train": 6}, "cofw": {"train": 6}, "merl-rav": {"turned": False}}


@pytest.fixture(autouse=True)
def tiny_sizes(monkeypatch):
    size = TUFAConfig("patches", input_size=32, patch=16, dim=32, depth=1, heads=2, decoder_depth=1)
    monkeypatch.setattr(training, "SIZES", {"small": size})
    monkeypatch.setattr(training, "RECIPE", Recipe(samples=64, batch_size=8, lr=1e-3, warmup_steps=2))


@pytest.fixture
def folders(tmp_path, replica):
    """The four datasets' training sets as shards."""
    for name, writer in DATASETS.items():
        root = tmp_path / "files" / name
        getattr(replica, writer)(root, **OPTIONS.get(name, {}))
        assert main(["datasets", "convert", str(root), "--out", str(tmp_path / "data" / name), "--split", "train"]) == 0
    return [tmp_path / "data" / name / "train" for name in DATASETS]


def run(folders, out, *options):
    arguments = ["tufa", "train", "--data", *folders, "--out", out, "--samples", 32, "--workers", 0, "--features", None]
    return main([*map(str, [*arguments, "--bfloat16", "off", "--device", "cpu", *options])])


def test_the_four_published_datasets_train_one_network(folders, tmp_path):
    assert run(folders, tmp_path / "run") == 0
    model, metadata = load_network(tmp_path / "run" / "tufa.safetensors", TUFA)
    schemes = {"wflw": "wflw98", "300w": "ibug68", "cofw": "cofw29", "merl-rav": "ibug68"}
    assert dict(model.config.sets) == metadata["sets"] == schemes
    assert dict(model.config.schemes) == {"wflw": 98, "300w": 68, "cofw": 29, "merl-rav": 68}
    assert not model.config.dense
    assert metadata["sources"] == list(schemes)
    assert all(0 < error < 1 for error in metadata["validation"].values())
    for name in schemes:
        learned = model.alignment.weight[1:][model.rows(name)]
        assert learned.abs().max() > 0, name
    first, second = (model.mean_shapes[model.rows(name)] for name in ("300w", "merl-rav"))
    assert (first - second).abs().mean() < 0.02  # both on one plane


def test_renders_and_a_set_of_ones_own_train_one_network(folders, dense_shards, tmp_path):
    options = "--names", "renders", "mine", "--sampling-weights", 3, 1
    assert run([dense_shards, folders[2]], tmp_path / "run", *options) == 0
    model, metadata = load_network(tmp_path / "run" / "tufa.safetensors", TUFA)
    assert dict(model.config.sets) == {"renders": "wflw98", "mine": "cofw29"}
    assert model.config.dense
    assert metadata["sampling_weights"] == [3.0, 1.0]
    assert metadata["sources"] == ["renders", "mine", "dense"]


def test_training_starts_from_another_checkpoint_with_new_anchors(folders, dense_shards, tmp_path):
    assert run([dense_shards], tmp_path / "first") == 0
    first, _ = load_network(tmp_path / "first" / "tufa.safetensors", TUFA)
    options = "--weights", tmp_path / "first" / "tufa.safetensors", "--samples", 8, "--lr", 1e-12
    assert run(folders[:2], tmp_path / "second", *options) == 0
    second, metadata = load_network(tmp_path / "second" / "tufa.safetensors", TUFA)
    assert [name for name, _ in second.config.schemes] == ["wflw", "300w"]
    assert second.config.dense
    assert metadata["start"].startswith("tufa.safetensors ")
    torch.testing.assert_close(second.decoder.state_dict(), first.decoder.state_dict())
    torch.testing.assert_close(second.features.state_dict(), first.features.state_dict())


@pytest.fixture
def knows(tmp_path, monkeypatch):
    """A writer of an untrained network with a set's anchors, which maps every point of the plane to itself."""

    def write(sets, atpn):
        shape = atpn.mean_shape.numpy()
        shapes = {name: converted(shape, scheme) + np.float32(name == "beside") for name, scheme in sets.items()}
        path = tmp_path / "known.safetensors"
        save_checkpoint(path, new_tufa(training.SIZES["small"], shapes, 0, sets), {"stage": "none"})
        return path

    monkeypatch.setattr(TUFA, "mapped", lambda self, feature, plane: plane)
    return write


@pytest.mark.parametrize("protocol", ["wflw", "300w", "cofw", "merl-rav"])
def test_a_protocol_is_answered_by_the_dataset_s_own_anchors(protocol, knows, atpn, tmp_path, replica, capsys):
    getattr(replica, DATASETS[protocol])(tmp_path / "files")
    scheme = {"wflw": "wflw98", "cofw": "cofw29"}.get(protocol, "ibug68")
    weights = knows({"beside": scheme, protocol: scheme}, atpn)
    errors = {}
    for name, options in {protocol: [], "beside": ["--anchors", "beside"]}.items():
        out = tmp_path / "report.json"
        options += ["--weights", weights, "--data", tmp_path / "files", "--protocol", protocol, "--out", out]
        assert main(["tufa", "evaluate", *map(str, options)]) == 0
        report = json.loads(out.read_text())
        assert report["anchors"] == name
        row = report[protocol]["passes"]["first"]["full"]
        errors[name] = row.get("nme", row.get("nme_box"))
    # Drawn faces are roughly the mean face: every crop shows the face where the plane has it.
    assert 0.01 < errors[protocol] < 0.5
    assert errors["beside"] > 1
    assert "TUFA, ViT-S/8" in capsys.readouterr().out


@pytest.mark.parametrize("scheme", [COFW_29, CELEBA_5])
def test_crops_show_the_whole_face_also_around_a_part_of_its_points(scheme, knows, atpn):
    model, _ = load_network(knows({"set": scheme.name}, atpn), TUFA)
    shape = atpn.mean_shape.numpy()
    network = AnchorPredictor(model, scheme, model.anchors("set").numpy(), shape)
    face = ROI(50.0, 60.0, 80.0).to_frame(shape)
    roi, expected = region_of(network, converted(face, scheme.name)), ROI.from_landmarks(face)
    assert (roi.cx, roi.cy, roi.size) == pytest.approx((expected.cx, expected.cy, expected.size), rel=0.03)


def test_every_protocol_of_a_scheme_has_anchors():
    assert set(PROTOCOL_ANCHORS) == set(get_args(SchemeProtocol))


@pytest.mark.parametrize(
    ("sets", "given", "match"),
    [
        ({"a": "ibug68", "b": "ibug68"}, None, "its anchors of ibug68 are a, b; choose with --anchors"),
        ({"a": "cofw29"}, None, "it has no anchors of ibug68"),
        ({"a": "ibug68"}, "b", "with 'b': its anchors of ibug68 are a"),
    ],
)
def test_a_protocol_without_clear_anchors_is_refused(sets, given, match, knows, atpn):
    model, _ = load_network(knows(sets, atpn), TUFA)
    with pytest.raises(ValueError, match=match):
        protocol_anchors(model, "300w", given)


def test_only_anchors_of_a_scheme_answer_whatever_they_are_called(knows, atpn):
    model, _ = load_network(knows({"renders": "wflw98", "mine": "ibug68"}, atpn), TUFA)
    assert protocol_anchors(model, "300w") == protocol_anchors(model, "merl-rav") == "mine"
    assert protocol_anchors(model, "wflw") == "renders"


def test_anchors_without_a_protocol_are_refused(tmp_path):
    with pytest.raises(ValueError, match="are for --protocol"):
        EvaluateTUFAConfig(tmp_path / "a.safetensors", tmp_path, anchors="wflw")


def test_sets_are_called_after_their_datasets(tmp_path):
    assert set_names([tmp_path / "renders" / "train", tmp_path / "mine", tmp_path / "w" / "train-original"], ()) == (
        *("renders", "mine", "w"),
    )


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"names": ("a",)}, "--names must be 2 different names"),
        ({"names": ("a", "a")}, "--names must be 2 different names"),
        ({"names": ("a", "dense")}, "none of them dense"),
        ({"sampling_weights": (1.0,)}, r"a positive number per --data \(2\)"),
        ({"sampling_weights": (1.0, 0.0)}, r"a positive number per --data \(2\)"),
        ({"data": ()}, "no folder"),
        ({"data": ("one",), "sampling_weights": (1.0,)}, "is for several --data"),
    ],
)
def test_contradicting_options_are_refused(tmp_path, changes, match):
    options = {"data": (tmp_path / "x", tmp_path / "y"), "out": tmp_path} | changes
    with pytest.raises(ValueError, match=match):
        TrainTUFAConfig(**options)
