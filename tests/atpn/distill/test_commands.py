"""`python -m atpn prompts` and `distill`, whole."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from atpn.__main__ import main
from atpn.data.store import SampleStore
from atpn.distill.images import UnlabeledFaces
from atpn.model import load_checkpoint, load_network, save_checkpoint
from atpn.tufa.config import TUFAConfig
from atpn.tufa.network import TUFA, new_tufa
from edge_runtime.geometry import ROI
from edge_runtime.template import Template

TINY = TUFAConfig("patches", input_size=48, patch=16, dim=16, depth=1, heads=2, decoder_depth=1)


@pytest.fixture(scope="module")
def prompts(dense_shards, tiny_atpn, tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "prompts.safetensors"
    options = ["--data", dense_shards, "--out", path, "--weights", tiny_atpn]
    options += ["--crops", 64, "--steps", 20, "--rank", 8, "--workers", 0]
    assert main(["prompts", *map(str, options)]) == 0
    return path


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "dots.json"
    path.write_text(Template("dots", np.array([[0.4, 0.7], [0.6, 0.7], [0.5, 0.5]]), edges=((0, 1),)).to_json())
    return path


def test_prompts_leave_the_network_as_it_was(prompts, tiny_atpn):
    (model, metadata), (base, _) = load_checkpoint(prompts), load_checkpoint(tiny_atpn)
    assert model.config.prompt_rank == 8
    assert np.array(metadata["anchors"]["wflw98"]).shape == (98, 2)
    image = torch.rand(2, 3, 48, 48) * 255
    with torch.no_grad():
        for ours, theirs in zip(model(image), base(image), strict=True):
            assert torch.equal(ours, theirs)


def distilled(out, template, prompts, tiny_tufa, *more):
    options = ["--template", template, "--out", out, "--weights", prompts, "--teacher", tiny_tufa, "--workers", 0]
    assert main(["distill", *map(str, [*options, *more])]) == 0
    return load_checkpoint(out)


def test_the_student_learns_what_the_teacher_says(prompts, dense_shards, tiny_tufa, template, tmp_path):
    given = (template, prompts, tiny_tufa, "--data", dense_shards, "--crops", 64)
    _, before = distilled(tmp_path / "before.safetensors", *given, "--steps", 0)
    model, after = distilled(tmp_path / "after.safetensors", *given, "--steps", 300)
    assert model.config.template_points == 3
    assert after["template"] == json.loads(template.read_text())
    errors = [metadata["head"]["validation"]["from_teacher"] for metadata in (before, after)]
    assert errors[0] > 0.08
    assert errors[1] < 0.5 * errors[0]


def test_fitted_places_are_what_is_taught(prompts, dense_shards, tiny_tufa, template, tmp_path):
    teacher = load_network(tiny_tufa, TUFA)[0].with_scheme("dots", np.array(Template.read(template).points) - 0.3)
    save_checkpoint(tmp_path / "fitted.safetensors", teacher, {})
    given = (template, prompts, tmp_path / "fitted.safetensors", "--data", dense_shards, "--crops", 8, "--steps", 0)
    _, metadata = distilled(tmp_path / "student.safetensors", *given)
    assert metadata["head"]["validation"]["from_teacher"] > 0.3


def test_a_teacher_of_another_size_is_refused(prompts, dense_shards, template, mean_shape, tmp_path, capsys):
    save_checkpoint(tmp_path / "big.safetensors", new_tufa(replace(TINY, input_size=64), {"wflw98": mean_shape}, 0), {})
    options = [
        "--template",
        template,
        "--out",
        tmp_path / "a.safetensors",
        "--weights",
        prompts,
        "--data",
        dense_shards,
    ]
    assert main(["distill", *map(str, [*options, "--teacher", tmp_path / "big.safetensors"])]) == 1
    assert "64 px" in capsys.readouterr().err


def test_pictures_teach_without_labels(prompts, dense_shards, tiny_tufa, template, tmp_path, monkeypatch):
    store = SampleStore.read(dense_shards)
    found = UnlabeledFaces([replace(store[i], dense=None) for i in range(20)])
    monkeypatch.setattr("atpn.distill.command.UnlabeledFaces.read", lambda paths, atpn, detector: found)
    given = (template, prompts, tiny_tufa, "--images", tmp_path, "--crops", 32, "--steps", 5)
    _, metadata = distilled(tmp_path / "student.safetensors", *given)
    assert metadata["head"]["faces"] == 18  # every tenth is kept aside
    assert metadata["head"]["validation"]["from_teacher"] > 0


def test_without_steps_the_head_is_the_prompt_heads(prompts, dense_shards, tiny_tufa, template, tmp_path):
    out = tmp_path / "student.safetensors"
    options = ["--template", template, "--out", out, "--data", dense_shards, "--weights", prompts]
    options += ["--teacher", tiny_tufa, "--crops", 8, "--steps", 0, "--workers", 0]
    assert main(["distill", *map(str, options)]) == 0
    (model, _), (source, _) = load_checkpoint(out), load_checkpoint(prompts)
    vector = torch.randn(4, model.point_head.residual.in_features)
    with torch.no_grad():
        said = source.point_head(vector, torch.from_numpy(np.array(Template.read(template).points)))
        for ours, theirs in zip(model.point_head(vector), said, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_nothing_to_learn_on_is_refused(template, tmp_path, capsys):
    assert main(["distill", "--template", str(template), "--out", str(tmp_path / "a.safetensors")]) == 1
    assert "--images" in capsys.readouterr().err


def test_a_template_is_not_replaced_by_its_checkpoint(template, tmp_path, capsys):
    options = ["--template", str(template), "--out", str(tmp_path / "dots.safetensors"), "--data", str(tmp_path)]
    assert main(["distill", *options]) == 1
    assert "would overwrite --template" in capsys.readouterr().err


def test_pictures_without_labels_become_faces(dense_shards, tmp_path, monkeypatch, caplog):
    sample = SampleStore.read(dense_shards)[0]
    cv2.imwrite(str(tmp_path / "face.png"), np.ascontiguousarray(sample.image[:, :, ::-1]))
    (tmp_path / "broken.jpg").write_bytes(b"no image")

    class Found:
        landmarks, roi = sample.landmarks, ROI.from_landmarks(sample.landmarks)

    monkeypatch.setattr("atpn.distill.images.find_faces", lambda image, atpn, detector: [Found])
    faces = UnlabeledFaces.read([tmp_path], None, None)
    assert len(faces) == 1
    assert "broken.jpg is not an image" in caplog.text
    # Cut around the face: the same pixel lies under each landmark.
    x, y = np.round(faces[0].landmarks[54]).astype(int)
    old_x, old_y = np.round(sample.landmarks[54]).astype(int)
    assert (faces[0].image[y, x] == sample.image[old_y, old_x]).all()
    monkeypatch.setattr("atpn.distill.images.find_faces", lambda image, atpn, detector: [])
    with pytest.raises(ValueError, match="found no face"):
        UnlabeledFaces.read([tmp_path], None, None)
