from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter

from atpn.data.crops import Crop
from atpn.data.sample import Sample
from atpn.data.shards import write_shard
from atpn.evaluate.inference import predict
from atpn.model import ATPN, ATPNConfig, save_checkpoint
from atpn.model.config import ARCHITECTURES
from edge_runtime.expressions import EXPRESSIONS
from edge_runtime.geometry import ROI
from edge_runtime.landmarks import WFLW_98
from export.__main__ import main
from export.crop_set import write_crop_set

NO_FACE = 3


def blurred_noise(count, seed, size=112):
    """(count, size, size, 3) uint8 of smooth blotches, different in color and contrast."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return np.stack([cv2.resize(c, (size, size), interpolation=cv2.INTER_CUBIC) for c in coarse])


def make_model(seed=0, width=0.25, **fields):
    """A small network whose statistics fit its weights and whose results depend on the image."""
    torch.manual_seed(seed)
    mean_shape = torch.rand(98, 2) * 0.6 + 0.2
    mean_shape[60], mean_shape[72] = torch.tensor([0.3, 0.4]), torch.tensor([0.7, 0.4])
    model = ATPN(ATPNConfig(**{**fields, "width": width}), mean_shape)
    for layer in (model.landmark_branch.residual, model.landmark_branch.log_sigma, model.pose_branch.output):
        torch.nn.init.normal_(layer.weight, std=0.04)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
    batch = torch.from_numpy(blurred_noise(16, seed=1)).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        for _ in range(6):
            model.train()(batch)
            if model.expression_branch is not None:
                model.expressions(batch)
    return model.eval()


def make_crop_set_file(path, model, count, seed):
    """Noise crops whose labels are the network's own answers, off by a few percent of the inter-ocular distance."""
    rng = np.random.default_rng(seed)
    images = blurred_noise(count, seed)
    answers = predict(model, images)
    crops = []
    for i, image in enumerate(images):
        landmarks = (answers.landmarks[i] + rng.normal(0, 0.02, (98, 2))).astype(np.float32)
        pose = (answers.pose[i] + rng.normal(0, 0.05, 3)).astype(np.float32)
        if i < NO_FACE:
            landmarks, pose = np.full_like(landmarks, np.nan), np.full_like(pose, np.nan)
        crops.append(Crop(image, landmarks, pose, ROI(56, 56, 112)))
    write_crop_set(path, crops, WFLW_98, {"data": "noise", "seed": seed})


@pytest.fixture(scope="session")
def model():
    return make_model()


@pytest.fixture(scope="session")
def tiny_lite():
    """A small network of the `lite` architecture, with expressions and a refinement that is not folded away.

    Its landmarks vary as little as those of `model`: tolerances are in crop widths.
    """
    model = make_model(seed=2, **{**ARCHITECTURES["lite"], "width": 0.25, "expressions": EXPRESSIONS})
    branch = model.landmark_branch
    for weights in (branch.residual.weight, branch.refinement.displacement, branch.refinement.log_sigma):
        torch.nn.init.normal_(weights, std=0.002)
    return model


@pytest.fixture(scope="session")
def sources(make_once, model):
    """A folder with atpn.safetensors, calibration.npz and heldout.npz; read it, never write it."""

    def make(folder):
        save_checkpoint(folder / "atpn.safetensors", model, {"data": "noise", "seed": 0, "licence": "CC0-1.0"})
        make_crop_set_file(folder / "calibration.npz", model, 12, seed=11)
        make_crop_set_file(folder / "heldout.npz", model, 24, seed=12)

    return make_once("sources", make)


def arguments(command, sources, out, *more):
    """Command line of an export from the `sources` folder."""
    options = ["--weights", sources / "atpn.safetensors", "--held-out", sources / "heldout.npz", "--out", out]
    options += ["--calibration", sources / "calibration.npz"]
    return [command, *map(str, options), *map(str, more)]


@pytest.fixture(scope="session")
def make_crop_set():
    return make_crop_set_file


@pytest.fixture(scope="session")
def command_line():
    return arguments


@pytest.fixture(scope="session")
def exported(make_once, sources):
    """A folder with every file and the report; read it, never write it."""

    def make(out):
        assert main(arguments("all", sources, out)) == 0

    return make_once("dist", make)


@pytest.fixture
def dist(tmp_path, exported):
    """A copy of the exported folder to play with."""
    return shutil.copytree(exported, tmp_path / "dist")


@pytest.fixture(scope="session")
def another_model():
    """Of the same shape as `model`, with other weights."""
    return make_model(seed=5)


@pytest.fixture(scope="session")
def noise_crops():
    return blurred_noise


@pytest.fixture(scope="session")
def run_tflite():
    """A function that runs a .tflite file's bytes on a crop and returns the outputs."""

    def run(content, crop):
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], crop[None])
        interpreter.invoke()
        return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]

    return run


@pytest.fixture
def renders(tmp_path, noise_crops, model):
    """24 images of 8 people, with a face's landmarks in the middle, and 3 without a face."""
    rng = np.random.default_rng(3)
    shape = model.mean_shape.numpy()
    samples = []
    for i, image in enumerate(noise_crops(24, seed=51, size=128)):
        landmarks = ((shape - 0.5) * rng.uniform(50, 70) + 64).astype(np.float32)
        samples.append(
            Sample(image, landmarks, rotation=np.eye(3), key=f"face-{i}", attributes={"identity": f"p{i % 8}"})
        )
    samples += [Sample(image, key=f"background-{i}") for i, image in enumerate(noise_crops(3, seed=52, size=128))]
    folder = tmp_path / "renders"
    folder.mkdir()
    write_shard(folder / "faces-000000.tar", samples)
    return folder
