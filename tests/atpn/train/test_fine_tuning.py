"""From trained weights to one's own faces: other schemes, labels known in part, boxes alone."""

import json

import numpy as np
import pytest
import torch

from atpn.__main__ import main
from atpn.data.crops import filled
from atpn.data.sample import Sample
from atpn.data.shards import write_shard
from atpn.data.store import SampleStore
from atpn.model import load_checkpoint
from atpn.train import cli
from atpn.train.config import RECIPES, TrainConfig
from atpn.train.dataset import TrackingBatches
from atpn.train.landmarks import LandmarkTask, new_model
from atpn.train.tracking import TrackingTask
from edge_runtime.detector.detection import roi_of_face_box
from edge_runtime.geometry import rotation_2d
from edge_runtime.landmarks import IBUG_68, SCHEMES, WFLW_98, convert


def own_faces(folder, draw_sample, scheme, hidden=()):
    """Shards of drawn faces with a scheme's labels, those of some landmarks unknown."""
    rng, samples = np.random.default_rng(0), []
    for i in range(8):
        drawn = draw_sample(rng, f"face-{i}")
        landmarks = convert(drawn.landmarks, WFLW_98, scheme)
        landmarks[list(hidden) if i else []] = np.nan
        samples.append(Sample(drawn.image, landmarks, scheme, key=drawn.key))
    folder.mkdir()
    write_shard(folder / "a.tar", samples)
    return folder


@pytest.mark.parametrize("name", ["wflw98", "ibug68", "cofw29", "celeba5"])
def test_the_shipped_weights_take_every_scheme(draw_sample, tmp_path, name):
    data = own_faces(tmp_path / "data", draw_sample, SCHEMES[name])
    command = ["train", "landmarks", "--init", "shipped", "--data", data, "--out", tmp_path / "run"]
    command += ["--samples", "16", "--batch-size", "16", "--workers", "0", "--device", "cpu", "--bfloat16", "off"]
    assert main(list(map(str, command))) == 0
    model, metadata = load_checkpoint(tmp_path / "run" / "landmarks.safetensors")
    assert model.config.scheme.name == name
    assert (metadata["recipe"], metadata["start"][:16]) == ("fine-tune", "atpn.safetensors")


def test_the_shipped_small_network_is_fine_tuned(draw_sample, tmp_path):
    data = own_faces(tmp_path / "data", draw_sample, IBUG_68)
    options = {"samples": 16, "batch_size": 16, "workers": 0, "device": "cpu", "bfloat16": False}
    cli.run(TrainConfig("landmarks", (data,), tmp_path / "run", init="shipped-lite", **options))
    model, metadata = load_checkpoint(tmp_path / "run" / "landmarks.safetensors")
    assert (model.config.scheme, model.config.width) == (IBUG_68, 0.5)
    assert (metadata["recipe"], metadata["start"][:16]) == ("fine-tune", "lite.safetensors")


def test_fine_tuning_moves_the_landmark_branch_alone(draw_sample, atpn, tmp_path):
    data = own_faces(tmp_path / "data", draw_sample, WFLW_98)
    options = {"samples": 16, "batch_size": 16, "workers": 0, "device": "cpu", "bfloat16": False}
    cli.run(TrainConfig("landmarks", (data,), tmp_path, init="shipped", **options))
    before, after = atpn.state_dict(), load_checkpoint(tmp_path / "landmarks.safetensors")[0].state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert {name.split(".")[0] for name in moved} == {"landmark_branch"}
    assert not any("running" in name or "log_sigma" in name for name in moved)


def test_a_face_s_unknown_landmarks_give_no_gradient(draw_sample, tmp_path):
    hidden = range(5, 17)
    store = SampleStore.read(own_faces(tmp_path / "data", draw_sample, IBUG_68, hidden))
    assert (len(store.faces), len(store.partly_known)) == (1, 7)
    task = LandmarkTask(store, RECIPES["atpn", "landmarks"], 0)
    assert len(task.faces) >= 7
    model = new_model(store, store.faces, 0.25, 48, 0)
    task.begin(model)
    batch = task.batches(48, 0).batch(0, np.random.default_rng(0))
    labeled = batch["landmarks"]
    some = labeled.isnan().any(dim=-1)
    assert some.any(dim=1).sum() > 50
    said = torch.full_like(labeled, 0.5, requires_grad=True)
    log_sigma = torch.full(labeled.shape[:2], -3.0, requires_grad=True)
    loss, _ = task._loss(said, log_sigma, labeled, IBUG_68)
    loss.backward()
    assert loss.isfinite()
    gaps = [i for pair in ((37, 41), (38, 40)) for i in pair]
    assert (said.grad[some] == 0).all()
    assert (log_sigma.grad[some] == 0).all()
    assert (said.grad[:, gaps].abs().sum(-1) > 0).any()
    assert (log_sigma.grad[~some] != 0).any()


def test_unknown_landmarks_are_framed_by_the_mean_shape():
    shape = np.random.default_rng(0).uniform(0.2, 0.8, (68, 2))
    face = 90 * shape @ rotation_2d(0.4).T + (30, 50)
    part = face.copy()
    part[10:40] = np.nan
    np.testing.assert_allclose(filled(part, shape), face, atol=1e-3)
    assert filled(face, shape) is face


def boxed_faces(folder, draw_sample):
    """Faces with boxes from hairline to chin alone; two of them in one image."""
    rng, samples = np.random.default_rng(0), []
    for i in range(6):
        drawn = draw_sample(rng, f"face-{i}", 200, angles=(0, 0, 0))
        (left, top), (right, bottom) = drawn.landmarks.min(0), drawn.landmarks.max(0)
        box = float(left), float(bottom - (bottom - top) / (139 / 185)), float(right), float(bottom)
        samples.append((drawn, Sample(drawn.image, boxes={"detector": box}, key=drawn.key)))
    folder.mkdir()
    write_shard(folder / "a.tar", [boxed for _, boxed in samples])
    return samples


def test_tracking_learns_from_boxes_alone(draw_sample, tmp_path, face_shards):
    drawn = boxed_faces(tmp_path / "boxes", draw_sample)
    store = SampleStore.read(tmp_path / "boxes", boxes_suffice=True)
    options = {"samples": 22, "width": 0.25, "workers": 0, "device": "cpu", "batch_size": 22, "bfloat16": False}
    cli.run(TrainConfig("landmarks", (face_shards,), tmp_path / "run", **options))
    cli.run(TrainConfig("tracking", (tmp_path / "boxes",), tmp_path / "run", **options))
    first, second = (
        load_checkpoint(tmp_path / "run" / f"{stage}.safetensors")[0].state_dict()
        for stage in ("landmarks", "tracking")
    )
    moved = {name.split(".")[0] for name in first if not torch.equal(first[name], second[name])}
    assert moved == {"tracking_branch"}
    assert json.loads((tmp_path / "run" / "tracking.json").read_text())["metadata"]["validation"]["positives"] == 1
    # A box frames its face as the face's landmarks would.
    face, boxed = drawn[0]
    batches = TrackingBatches(store, store.boxed, store.backgrounds, None, RECIPES["atpn", "tracking"], 48, 0)
    points, shape = batches.groups.outline(0)
    np.testing.assert_allclose((points.min(0), points.max(0)), (face.landmarks.min(0), face.landmarks.max(0)), atol=0.1)
    assert shape.shape == points.shape
    left, top, right, bottom = boxed.boxes["detector"]
    roi = roi_of_face_box(left + 0.5, top + 0.5, right - left, bottom - top)
    assert roi.size == pytest.approx(1.5 * max(np.ptp(face.landmarks, axis=0)), rel=1e-3)


def test_a_set_without_faces_cannot_be_tracked(draw_sample, tmp_path):
    image = draw_sample(np.random.default_rng(0)).image
    write_shard(tmp_path / "a.tar", [Sample(image, key="empty")])
    with pytest.raises(ValueError, match="no face"):
        SampleStore.read(tmp_path, boxes_suffice=True)
    with pytest.raises(ValueError, match="neither faces with landmarks nor faces with boxes"):
        TrackingTask(SampleStore([]), RECIPES["atpn", "tracking"], 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": ()}, "needs one --data"),
        ({"sampling_weights": (1.0, 2.0)}, "--sampling-weights needs a positive number per --data"),
        ({"sampling_weights": (-1.0,)}, "--sampling-weights needs a positive number"),
        ({"init": "shipped", "weights": "a.safetensors"}, "give --init shipped or --weights, not both"),
    ],
)
def test_contradicting_options_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**{"stage": "landmarks", "data": (tmp_path,), "out": tmp_path} | changes)
