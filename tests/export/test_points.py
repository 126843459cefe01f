from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from atpn.evaluate.inference import predict_embeddings
from atpn.model import load_checkpoint, save_checkpoint
from atpn.model.point_head import PromptHead, TemplateHead
from edge_runtime import Template
from edge_runtime.backends import load_backend
from edge_runtime.spec import ModelSpec
from export.__main__ import main
from export.points import Points, compare_points, evaluation_plane

LIPS = Template("full lips", np.array([[0.3, 0.7], [0.5, 0.65], [0.7, 0.7]]), edges=((0, 1),))


def prompt_head(vector, rank=8):
    """A head whose points vary from crop to crop about as the landmarks do."""
    torch.manual_seed(3)
    head = PromptHead(vector, rank)
    torch.nn.init.normal_(head.basis[-1].weight, std=0.3)
    torch.nn.init.normal_(head.coefficients.weight, std=0.06)
    torch.nn.init.normal_(head.basis[-1].bias, std=0.05)
    return head.eval()


@pytest.fixture(scope="module")
def prompt_model(model):
    return model.with_head(prompt_head(model.landmark_branch.residual.in_features))


def checkpoint_beside(folder, sources, model, metadata):
    """The `sources` folder with another checkpoint."""
    for name in ("calibration.npz", "heldout.npz"):
        shutil.copyfile(sources / name, folder / name)
    save_checkpoint(folder / "atpn.safetensors", model, metadata)
    return folder


@pytest.fixture(scope="module")
def prompt_sources(tmp_path_factory, sources, prompt_model):
    folder = checkpoint_beside(tmp_path_factory.mktemp("prompt"), sources, prompt_model, {"licence": "CC0-1.0"})
    (folder / "lips.json").write_text(LIPS.to_json())
    return folder


@pytest.fixture(scope="module")
def exported(make_once, prompt_sources, command_line):
    """Files with prompts and one of a template; read it, never write it."""

    def make(out):
        for command, *precisions in (("tflite", "int8"), ("onnx", "fp32", "int8"), ("coreml", "fp16")):
            more = ("--prompts", 7, "--precision", *precisions)
            assert main(command_line(command, prompt_sources, out, *more)) == 0
        lips = ("--template", prompt_sources / "lips.json", "--precision", "int8")
        assert main(command_line("tflite", prompt_sources, out, *lips)) == 0

    return make_once("prompt-dist", make)


def answers(model, crops, plane):
    """(n, M, 2) points and (n, M) deviations by the network itself."""
    with torch.no_grad():
        points, log_sigma = model.point_head(predict_embeddings(model, crops), torch.tensor(plane, dtype=torch.float32))
    return points.numpy(), log_sigma.exp().numpy()


def agree(rows, expected, precision):
    points, sigma = (np.stack([row[name] for row in rows]) for name in ("points", "points_uncertainty"))
    spread = expected[0].std(axis=0).mean()
    assert spread > 0.005
    close = {"fp32": 1e-3, "fp16": 0.1, "int8": 0.3}[precision]
    assert np.abs(points - expected[0]).mean() < spread * close
    assert np.abs(sigma / expected[1] - 1).mean() < close


@pytest.mark.slow
@pytest.mark.parametrize("name", ["int8.tflite", "fp32.onnx", "int8.onnx"])
def test_a_prompt_file_finds_any_points_through_the_runtime(exported, prompt_model, noise_crops, name):
    backend, crops = load_backend(exported / f"atpn_prompt_{name}"), noise_crops(6, seed=41)
    assert (backend.spec.prompts, backend.spec.template, backend.spec.outputs["points"]) == (7, None, (7, 2))
    for count in (7, 3):
        plane = np.random.default_rng(count).random((count, 2))
        agree([backend.run(crop, plane) for crop in crops], answers(prompt_model, crops, plane), backend.spec.precision)


@pytest.mark.slow
def test_a_coreml_package_takes_prompts(exported, prompt_model, noise_crops):
    from export.formats.coreml import load

    crops = noise_crops(4, seed=42)
    predictor = load(exported / "atpn_prompt_fp16.mlpackage")
    agree([predictor(crop) for crop in crops], answers(prompt_model, crops, evaluation_plane(7)), "fp16")


@pytest.mark.slow
def test_a_frozen_template_needs_no_second_input(exported, prompt_model, noise_crops):
    backend, crops = load_backend(exported / "atpn_full_lips_int8.tflite"), noise_crops(6, seed=43)
    assert backend.spec.template.as_dict() == LIPS.as_dict()
    assert (backend.spec.prompts, backend.spec.name) == (0, "atpn_full_lips")
    agree([backend.run(crop) for crop in crops], answers(prompt_model, crops, LIPS.points), "int8")


@pytest.mark.slow
def test_weights_of_a_template_are_exported_with_it(tmp_path, sources, prompt_model, noise_crops, command_line):
    head = prompt_model.point_head.template(torch.tensor(LIPS.points))
    metadata = {"licence": "CC0-1.0", "template": LIPS.as_dict()}
    folder = checkpoint_beside(tmp_path, sources, prompt_model.with_head(head), metadata)
    assert main(command_line("onnx", folder, tmp_path / "dist", "--precision", "fp32")) == 0
    path = tmp_path / "dist" / "atpn_full_lips_fp32.onnx"
    spec = ModelSpec.read(path)
    assert spec.template.as_dict() == LIPS.as_dict()
    assert "template" not in spec.provenance
    crops = noise_crops(4, seed=44)
    backend = load_backend(path)
    agree([backend.run(crop) for crop in crops], answers(prompt_model, crops, LIPS.points), "fp32")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "no valid template in their metadata"),
        ({"template": {"name": "lips", "points": [[0.5, 0.5]]}}, "gives 3 points, their template lips has 1"),
    ],
)
def test_weights_that_do_not_tell_their_template_are_refused(
    tmp_path, sources, model, command_line, capsys, metadata, message
):
    head = TemplateHead(model.landmark_branch.residual.in_features, torch.tensor(LIPS.points))
    folder = checkpoint_beside(tmp_path, sources, model.with_head(head), metadata)
    assert main(command_line("tflite", folder, tmp_path / "dist")) == 1
    assert message in capsys.readouterr().err


def test_only_a_prompt_head_takes_a_template(tmp_path, sources, prompt_sources, command_line, capsys):
    template = ("--template", prompt_sources / "lips.json")
    assert main(command_line("tflite", sources, tmp_path / "dist", *template)) == 1
    assert "--template needs weights with a prompt head" in capsys.readouterr().err


@pytest.mark.slow
def test_check_measures_the_points_too(exported, prompt_sources, sources, command_line, capsys):
    files = [str(exported / name) for name in ("atpn_prompt_fp32.onnx", "atpn_full_lips_int8.tflite")]
    options = ["--weights", str(prompt_sources / "atpn.safetensors"), "--held-out", str(sources / "heldout.npz")]
    assert main(["check", *files, *options]) == 0
    assert "points |diff|" in capsys.readouterr().out
    options[1] = str(sources / "atpn.safetensors")
    assert main(["check", *files, *options]) == 1
    assert "gives points, the weights landmarks only" in capsys.readouterr().err


@pytest.mark.slow
def test_points_beyond_a_tolerance_are_refused(tmp_path, exported, prompt_sources, command_line, monkeypatch, capsys):
    content = (exported / "atpn_prompt_fp32.onnx").read_bytes()
    monkeypatch.setattr("export.formats.onnx._convert", lambda *given: content)
    folder = checkpoint_beside(tmp_path, prompt_sources, load_checkpoint(prompt_sources / "atpn.safetensors")[0], {})
    model = load_checkpoint(folder / "atpn.safetensors")[0]
    with torch.no_grad():
        model.point_head.coefficients.bias += 0.01
    save_checkpoint(folder / "atpn.safetensors", model, {})
    options = ("--prompts", 7, "--precision", "fp32")
    assert main(command_line("onnx", folder, tmp_path / "dist", *options)) == 1
    error = capsys.readouterr().err
    assert "points is " in error
    assert "points_uncertainty" in error


def test_differences_of_points():
    faces = np.array([True, True, False])
    network = Points(np.zeros((3, 2, 2)), np.full((3, 2), 0.02))
    file = Points(network.coordinates.copy(), np.full((3, 2), 0.021))
    file.coordinates[0, 0] = (0.03, 0.04)
    file.coordinates[2] = 0.5
    landmarks = np.zeros((3, 4, 2))
    landmarks[:2, :, 0] = 0.01
    parity = compare_points(file, network, landmarks, faces)
    assert parity.points == 0.5
    assert parity.points_mean == pytest.approx(0.05 / 4)
    assert parity.points_over_landmarks == pytest.approx(1.25)
    assert parity.points_uncertainty == pytest.approx(0.001)
    assert parity.points_uncertainty_change == pytest.approx(0.05)


@pytest.mark.parametrize("prompts", [0, 257])
def test_numbers_of_prompts_out_of_bounds_are_refused(prompt_sources, tmp_path, command_line, capsys, prompts):
    assert main(command_line("tflite", prompt_sources, tmp_path, "--prompts", prompts)) == 1
    assert f"--prompts must be between 1 and 256, got {prompts}" in capsys.readouterr().err


def test_a_refused_point_is_named(prompt_sources, tmp_path, command_line, capsys):
    bad = tmp_path / "bad.json"
    bad.write_text(dataclasses.replace(LIPS, name="bad").to_json().replace("0.65", "1.65"))
    assert main(command_line("tflite", prompt_sources, tmp_path / "dist", "--template", bad)) == 1
    assert "bad.json: template bad: point 1" in capsys.readouterr().err
