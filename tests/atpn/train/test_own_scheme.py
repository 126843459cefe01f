"""A landmark scheme of the user's own, from its file to the exported model."""

import json

import cv2
import numpy as np
import pytest
import torch

import export.__main__
from atpn.__main__ import main
from atpn.data.crops import compute_mean_shape
from atpn.data.sample import Sample
from atpn.data.shards import write_scheme, write_shard
from atpn.data.store import SampleStore
from atpn.evaluate.crops import validation_batch
from atpn.evaluate.inference import predict
from atpn.evaluate.metrics import point_errors, rectangle_size
from atpn.model import ATPN, ATPNConfig, load_checkpoint, save_checkpoint
from atpn.train import new_scheme
from atpn.train.config import RECIPES
from atpn.train.landmarks import LandmarkTask, new_model
from atpn.train.new_scheme import fit_combination, in_scheme_of
from edge_runtime import webcam
from edge_runtime.backends import load_backend
from edge_runtime.landmarks import WFLW_98, LandmarkScheme
from export.config import WEIGHTS_FOLDER
from export.crop_set import read_crop_set

MINE = LandmarkScheme.from_dict(
    {
        "name": "mine7",
        "count": 7,
        "names": ["left_outer", "left_inner", "right_inner", "right_outer", "cheek_left", "cheek_right", "mouth"],
        "groups": {"left_eye": [0, 1], "right_eye": [2, 3], "cheeks": [4, 5], "mouth": [6]},
        "mirror_pairs": [[0, 3], [1, 2], [4, 5]],
        "edges": [[0, 1], [2, 3]],
        "outer_eye_corners": [0, 3],
    }
)
PARTS = ((60,), (64,), (68,), (72,), (76, 96, 4), (82, 97, 28), (79, 85))
"""Each point as a mean of WFLW's; the cheeks are none of them."""


def mine(landmarks):
    """(..., 7, 2) labels of (..., 98, 2) landmarks."""
    return np.stack([landmarks[..., list(part), :].mean(axis=-2) for part in PARTS], axis=-2)


def run(*arguments):
    assert main(list(map(str, arguments))) == 0


@pytest.fixture
def photos(tmp_path, draw_sample):
    """A folder with 12 images, a file of their labels, and one of the scheme."""
    folder = tmp_path / "faces"
    folder.mkdir()
    rng, images = np.random.default_rng(0), []
    for i in range(12):
        sample = draw_sample(rng, f"face-{i}")
        cv2.imwrite(str(folder / f"{i}.png"), sample.image[:, :, ::-1])
        images.append({"image": f"{i}.png", "faces": [{"landmarks": mine(sample.landmarks).tolist()}]})
    (folder / "labels.json").write_text(json.dumps(images))
    (tmp_path / "mine7.json").write_text(json.dumps(MINE.to_dict()))
    return folder


@pytest.fixture
def store(photos, tmp_path):
    run("datasets", "convert", photos, "--out", tmp_path / "data", "--scheme", tmp_path / "mine7.json")
    return SampleStore.read(tmp_path / "data" / "all")


def test_a_store_keeps_the_scheme_s_definition(store, tmp_path):
    assert (store.scheme, len(store.faces), store[0].scheme) == (MINE, 12, MINE)
    definition = tmp_path / "data" / "all" / "scheme.json"
    definition.unlink()
    with pytest.raises(ValueError, match=r"scheme 'mine7', but scheme\.json beside their shards is missing"):
        SampleStore.read(definition.parent)
    definition.write_text(json.dumps(MINE.to_dict() | {"name": "other"}))
    with pytest.raises(ValueError, match="defines other"):
        SampleStore.read(definition.parent)


def test_own_labels_without_their_scheme_are_refused(photos, tmp_path, capsys):
    assert main(["datasets", "convert", str(photos), "--out", str(tmp_path / "data")]) == 1
    assert "7 landmarks, expected 98 (wflw98)" in capsys.readouterr().err


def test_flipped_crops_follow_the_mirror_pairs(store):
    mean_shape = compute_mean_shape(store.landmarks, store.scheme)
    task = LandmarkTask(store, RECIPES["atpn", "landmarks"], 0)
    task.begin(ATPN(ATPNConfig(scheme=MINE, width=0.25, input_size=48), torch.from_numpy(mean_shape)))
    labels = task.batches(48, 0).batch(0, np.random.default_rng(0))["landmarks"].numpy()
    assert (labels[:, 0, 0] < labels[:, 3, 0]).mean() > 0.9  # the image's left stays left


def test_a_checkpoint_keeps_the_scheme_s_definition(store, tmp_path):
    model = new_model(store, store.faces, 0.25, 48, 0)
    save_checkpoint(tmp_path / "a.safetensors", model, {})
    again, _ = load_checkpoint(tmp_path / "a.safetensors")
    assert (again.config.scheme, again.mean_shape.shape) == (MINE, (7, 2))


def test_what_another_definition_names_alike_is_no_longer_the_same(store, tmp_path, capsys):
    other = LandmarkScheme.from_dict(MINE.to_dict() | {"edges": [], "mirror_pairs": [[0, 3]]})
    save_checkpoint(tmp_path / "a.safetensors", ATPN(ATPNConfig(scheme=other, width=0.25), torch.rand(7, 2)), {})
    command = ["evaluate", "--weights", tmp_path / "a.safetensors", "--data", tmp_path / "data" / "all"]
    assert main(list(map(str, command))) == 1
    assert "the weights predict mine7, but the data are labeled mine7" in capsys.readouterr().err


@pytest.fixture(scope="module")
def rendered_mine(tmp_path_factory):
    """A store of rendered held-out crops, labeled with the scheme."""
    crops = read_crop_set(WEIGHTS_FOLDER / "heldout.npz")
    folder = tmp_path_factory.mktemp("rendered")
    samples = []
    for i in np.flatnonzero(crops.has_face)[:60]:
        image = cv2.copyMakeBorder(crops.crops[i], 40, 40, 40, 40, cv2.BORDER_REPLICATE)
        samples.append(Sample(image, mine(crops.landmarks[i] * 112 - 0.5 + 40), MINE, key=f"face-{i}"))
    write_shard(folder / "a.tar", samples)
    write_scheme(folder, MINE)
    return SampleStore.read(folder)


def test_trained_weights_know_a_new_scheme_before_they_are_tuned(rendered_mine, atpn):
    model = in_scheme_of(atpn, rendered_mine).eval()
    assert model.config.scheme == MINE
    batch = validation_batch(rendered_mine, rendered_mine.faces, model.mean_shape.numpy(), 112)
    predicted, labels = predict(model, batch["image"].numpy()), batch["landmarks"].numpy()
    errors = point_errors(predicted.landmarks, labels, rectangle_size(labels))
    assert errors.mean() < 0.1  # the crops are 1.6 times as close as those that the network knows
    sigma = predicted.uncertainty.mean()
    assert sigma == pytest.approx(np.linalg.norm(predicted.landmarks - labels, axis=-1).mean(), rel=0.5)


def test_the_shipped_weights_are_tuned_to_a_new_scheme(store, tmp_path):
    out = tmp_path / "run"
    command = ["--init", "shipped", "--data", tmp_path / "data" / "all", "--out", out, "--samples", 32]
    run("train", "landmarks", *command, "--batch-size", 16, "--workers", 0, "--device", "cpu", "--bfloat16", "off")
    model, metadata = load_checkpoint(out / "landmarks.safetensors")
    assert (model.config.scheme, metadata["recipe"]) == (MINE, "fine-tune")
    assert np.isfinite(metadata["validation"]["nme"])


def test_a_combination_is_found_from_faces_and_stays_at_its_start_without_variation(monkeypatch):
    monkeypatch.setattr(new_scheme, "PRIOR_WEIGHT", 1e-4)
    rng = np.random.default_rng(0)
    known = rng.normal(size=(200, 6, 2))
    weights = np.array([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0, 1.2, -0.2, 0]])
    start = np.full((2, 6), 1 / 6)
    found = fit_combination(known, np.einsum("mn,fnc->fmc", weights, known) + 3.0, start)
    np.testing.assert_allclose(found, weights, atol=0.001)
    np.testing.assert_allclose(fit_combination(known[:1], known[:1, :2], start), start)


@pytest.mark.slow
def test_the_whole_way(store, tmp_path, capsys):
    data, out = tmp_path / "data" / "all", tmp_path / "run"
    common = ["--data", data, "--out", out, "--workers", "0", "--device", "cpu", "--bfloat16", "off"]
    run("train", "landmarks", *common, "--samples", "64", "--batch-size", "16", "--width", "0.25")
    run("train", "tracking", *common, "--samples", "44", "--batch-size", "22")
    weights = out / "tracking.safetensors"
    model, _ = load_checkpoint(weights)
    assert (model.config.scheme, model.config.landmark_count) == (MINE, 7)
    capsys.readouterr()
    run("evaluate", "--weights", weights, "--data", data, "--out", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())["rendered"]["landmarks"]
    assert set(report["nme_by_part"]) == {"eye", "cheeks", "mouth"}
    sets = ["calibration-set", "--data", data, "--out", tmp_path / "sets", "--held-out-crops", "24"]
    held_out = tmp_path / "sets" / "heldout.npz"
    assert export.__main__.main(list(map(str, sets))) == 0
    assert read_crop_set(held_out).scheme == MINE
    export_command = ["tflite", "--weights", weights, "--held-out", held_out, "--precision", "fp32", "--out", tmp_path]
    assert export.__main__.main(list(map(str, export_command))) == 0
    backend = load_backend(tmp_path / "atpn_fp32.tflite")
    assert backend.spec.landmark_scheme == MINE
    crops = read_crop_set(held_out).crops
    expected = predict(model, crops[:1]).landmarks[0]
    np.testing.assert_allclose(backend.run(crops[0])["landmarks"], expected, atol=1e-3)
    video = ["--source", tmp_path / "faces" / "0.png", "--model", tmp_path / "atpn_fp32.tflite", "--headless"]
    assert webcam.main([*map(str, video), "--jsonl", str(tmp_path / "faces.jsonl")]) == 0


def test_mine_spans_the_points_it_is_made_of():
    points = np.random.default_rng(0).normal(size=(WFLW_98.count, 2))
    np.testing.assert_allclose(MINE.inter_ocular(mine(points)), WFLW_98.inter_ocular(points))
