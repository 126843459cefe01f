import json

import numpy as np
import pytest
import torch

from atpn.model import load_network
from atpn.train.config import Recipe
from atpn.tufa import fit as fitting
from atpn.tufa.fit import FitConfig, fit, fit_template, mean_shape_on_plane
from atpn.tufa.inference import context_of, load_query_points, predict_plane
from atpn.tufa.network import TUFA
from atpn.tufa.samples import LabeledFace, read_samples
from edge_runtime.errors import SourceError
from edge_runtime.geometry import matrix_to_angles

CHOSEN = [60, 64, 68, 72, 54]
"""Landmarks that a template of five points marks."""
RECIPE = Recipe(samples=None, batch_size=8, lr=1e-3, warmup_steps=2)


@pytest.fixture(autouse=True)
def quick(monkeypatch, portrait):
    monkeypatch.setattr(fitting, "ALIGN_STEPS", 40)
    monkeypatch.setattr(fitting, "default_detector", lambda: portrait)


@pytest.fixture
def faces(store):
    landmarks = store.landmarks
    return [LabeledFace(store.image(i), landmarks[i][CHOSEN] + (0.0, 3.0), landmarks[i]) for i in range(6)]


@pytest.fixture
def samples(portrait, portrait_file):
    path = portrait_file.parent / "samples.json"
    path.write_text(json.dumps([{"image": portrait_file.name, "points": portrait.landmarks[CHOSEN].tolist()}]))
    return path


def test_a_mean_shape_lies_where_the_landmarks_anchors_are(tiny, store):
    """Whatever the head's place in the image and its expression, and with one face alone."""
    anchors = tiny.anchors("wflw98").numpy()
    near = [(60, 61), (64, 65), (54, 55), (76, 77)]  # points between two neighbors lie between their anchors
    expected = np.concatenate([anchors[CHOSEN], [(anchors[a] + anchors[b]) / 2 for a, b in near]])
    ahead = np.abs(matrix_to_angles(store.rotation)[:, :2]).max(axis=1) < np.radians(20)
    assert ahead.sum() > 2
    for landmarks in store.landmarks[ahead]:
        points = np.concatenate([landmarks[CHOSEN], [(landmarks[a] + landmarks[b]) / 2 for a, b in near]])
        face = LabeledFace(np.zeros((2, 2, 3), np.uint8), points, landmarks)
        # Where landmarks coincide, as closed lips do, no map tells them apart.
        assert np.median(np.abs(mean_shape_on_plane(tiny, [face]) - expected)) < 0.003


@pytest.mark.slow
def test_one_face_moves_what_the_network_knew_less_than_it_would_alone(tiny, store, faces, atpn, monkeypatch):
    start, plane = mean_shape_on_plane(tiny, faces[:1]), tiny.anchors("wflw98")[None, ::7]
    image = torch.from_numpy(store.image(3)[None, :32, :32]).permute(0, 3, 1, 2).float()

    def moved():
        fitted = fit(tiny, "five", start, faces[:1], atpn.mean_shape.numpy(), RECIPE, steps=30)
        with torch.no_grad():
            return float((fitted(image, plane) - tiny(image, plane)).abs().mean())

    held = moved()
    monkeypatch.setattr(fitting, "PRIOR_FACES", 0)
    assert held < 0.5 * moved()


def test_fitting_brings_the_points_closer_and_touches_nothing_given(tiny, store, faces, atpn):
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    mean_shape = atpn.mean_shape.numpy()
    start = mean_shape_on_plane(tiny, faces) + np.float32(0.1)  # off, for the network to find
    fitted = fit(tiny, "five", start, faces, mean_shape, RECIPE, steps=30)
    for name, value in tiny.state_dict().items():
        assert torch.equal(value, before[name]), name
    image, points, _ = fitting._batch(
        faces, mean_shape, tiny, fitting.NO_JITTER, fitting.NO_AUGMENT, np.random.default_rng(0)
    )
    crops = image.permute(0, 2, 3, 1).to(torch.uint8).numpy()

    def error(model, plane):
        return np.abs(predict_plane(model, crops, plane, context_of(model, "five")) - points.numpy()).mean()

    assert error(fitted, fitted.anchors("five").numpy()) < 0.6 * error(tiny, start)
    np.testing.assert_array_equal(fitted.mean_shapes[fitted.rows("five")].numpy(), start)
    assert not fitted.training
    assert not fitted.frozen
    assert all(p.requires_grad for p in fitted.parameters())
    assert [name for name, _ in fitted.config.schemes] == ["wflw98", "ibug68", "cofw29", "five"]


def test_a_mirrored_face_asks_for_the_mirrored_place(tiny, faces, atpn):
    """A network that answers what it was asked fits best where the faces' points are, not at their mirror image."""
    mean_shape, one_side = atpn.mean_shape.numpy(), [LabeledFace(f.image, f.points[:1], f.landmarks) for f in faces]
    start = mean_shape_on_plane(tiny, one_side)
    fitted = tiny.with_scheme("corner", start)
    fitting._align(fitted, "corner", one_side, mean_shape, RECIPE, np.random.default_rng(0))
    np.testing.assert_allclose(fitted.anchors("corner").numpy(), start, atol=0.06)
    assert fitted.anchors("corner")[0, 0] < 0.45


def test_a_fit_is_repeatable(tiny, faces, atpn):
    plane = mean_shape_on_plane(tiny, faces)
    first, again, other = (
        fit(tiny, "five", plane, faces, atpn.mean_shape.numpy(), RECIPE, 2, seed) for seed in (0, 0, 1)
    )
    assert torch.equal(first.anchors("five"), again.anchors("five"))
    assert not torch.equal(first.anchors("five"), other.anchors("five"))


def test_the_command_writes_a_network_that_knows_the_template(samples, tiny_tufa, tmp_path):
    out = tmp_path / "fitted.safetensors"
    fit_template(FitConfig("five", samples, out, tiny_tufa, steps=2, device="cpu"))
    model, metadata = load_network(out, TUFA)
    assert metadata["fitted"] == {"weights": "tiny.safetensors", "samples": 1, "steps": 2, "seed": 0}
    assert metadata["template"]["name"] == "five"
    assert metadata["sources"] == ["wflw98", "ibug68", "cofw29"]
    start = model.mean_shapes[model.rows("five")].numpy()
    np.testing.assert_allclose(metadata["template"]["points"], start, atol=1e-5)
    assert load_query_points(model, "five").plane.shape == (5, 2)


def test_a_drawn_template_is_the_start(samples, tiny_tufa, tmp_path):
    path = tmp_path / "five.json"
    points = [[0.3, 0.4], [0.45, 0.4], [0.55, 0.4], [0.7, 0.4], [0.5, 0.6]]
    path.write_text(json.dumps({"name": "five", "points": points, "edges": [[0, 1]]}))
    out = tmp_path / "fitted.safetensors"
    model = fit_template(FitConfig(str(path), samples, out, tiny_tufa, steps=1, device="cpu"))
    np.testing.assert_allclose(model.mean_shapes[model.rows("five")].numpy(), points)
    assert load_network(out, TUFA)[1]["template"]["edges"] == [[0, 1]]
    path.write_text(json.dumps({"name": "five", "points": points[:4]}))
    with pytest.raises(ValueError, match="4 points, but the samples 5"):
        fit_template(FitConfig(str(path), samples, out, tiny_tufa, steps=1, device="cpu"))


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({"image": "portrait.png"}, "must be a non-empty list"),
        ([], "must be a non-empty list"),
        (["portrait.png"], "sample 0: expected an object"),
        ([{"image": "portrait.png"}], "sample 0: points must be pairs"),
        ([{"image": "portrait.png", "points": [[1, 2], [3]]}], "sample 0: points must be pairs"),
        ([{"image": "portrait.png", "points": [[1, float("nan")]]}], "all must be finite"),
        ([{"image": "portrait.png", "points": [[390, 10]]}], "found no face around the points in portrait.png"),
        (
            [{"image": "portrait.png", "points": [[150, 160]]}, {"image": "portrait.png", "points": [[1, 2]] * 2}],
            "has 2",
        ),
    ],
)
def test_wrong_samples_are_named(entries, match, portrait, portrait_file, atpn, tmp_path):
    path = tmp_path / "samples.json"
    path.write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=match):
        read_samples(path, atpn, portrait)


def test_missing_files_are_named(portrait, atpn, tmp_path):
    with pytest.raises(FileNotFoundError, match="no samples file"):
        read_samples(tmp_path / "samples.json", atpn, portrait)
    (tmp_path / "samples.json").write_text("[")
    with pytest.raises(ValueError, match="is not JSON"):
        read_samples(tmp_path / "samples.json", atpn, portrait)
    (tmp_path / "samples.json").write_text('[{"image": "gone.png", "points": [[1, 2]]}]')
    with pytest.raises(SourceError, match=r"gone\.png cannot be read"):
        read_samples(tmp_path / "samples.json", atpn, portrait)
