"""The detector's files, from a network that finds bright discs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from atpn.data.composites import Composite
from atpn.model import save_checkpoint
from atpn.model.detector import DetectorConfig, FaceDetector
from atpn.train.detection import detection_targets
from atpn.train.losses.detection import focal_loss, region_loss, turn_loss
from edge_runtime.detector import NetworkDetector
from edge_runtime.spec import DetectorSpec
from export.__main__ import main
from export.image_set import read_image_set, write_image_set

FILES = ("detector_fp32.tflite", "detector_int8.tflite", "detector_fp32.onnx")
SIZE = 64


def discs(seed, count=2, size=SIZE):
    """A dark image with bright discs, each the middle two thirds of a face's region."""
    rng = np.random.default_rng(seed)
    image = np.full((size, size, 3), rng.integers(0, 40, 3), np.uint8)
    regions = []
    for column in range(count):
        radius = rng.uniform(0.08, 0.14)
        x, y = (column + rng.uniform(0.4, 0.6)) / count, rng.uniform(0.25, 0.75)
        grid = (np.arange(size) + 0.5) / size
        image[np.hypot(grid[None] - x, grid[:, None] - y) <= radius] = 230
        regions.append([x, y, 3 * radius, 0.0])
    return Composite(image, np.array(regions, np.float32), np.ones(count, bool))


@pytest.fixture(scope="module")
def finder(make_once):
    """A folder with a detector that a minute of training made, and its image sets."""
    return make_once("finder", train_finder)


def train_finder(folder):
    torch.manual_seed(0)
    model = FaceDetector(DetectorConfig(input_size=SIZE)).train()
    optimizer = torch.optim.AdamW(model.parameters(), 4e-3)
    for step in range(130):
        composites = [discs(1000 * step + i) for i in range(8)]
        targets = [detection_targets(g, SIZE // 4) for g in composites]
        batch = {key: torch.from_numpy(np.stack([t[key] for t in targets])) for key in targets[0]}
        image = torch.from_numpy(np.stack([g.image for g in composites])).permute(0, 3, 1, 2).float()
        output = model(image)
        loss = focal_loss(output.logits, batch["centers"], batch["mask"])
        loss = loss + region_loss(output.regions, batch["regions"], batch["region_weight"])
        loss = loss + turn_loss(output.turns, batch["roll"], batch["region_weight"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_checkpoint(folder / "detector.safetensors", model.eval(), {"data": "discs", "licence": "CC0-1.0"})
    for name, count, seed in (("calibration", 6, 5_000_000), ("heldout", 12, 6_000_000)):
        write_image_set(folder / f"{name}.npz", [discs(seed + i) for i in range(count)], {"data": "discs"})


def arguments(finder, out, *more):
    options = {"--weights": "detector.safetensors", "--held-out": "heldout.npz", "--calibration": "calibration.npz"}
    named = [part for flag, name in options.items() for part in (flag, str(finder / name))]
    return ["detector", *named, "--out", str(out), *more]


@pytest.fixture(scope="module")
def files(finder, make_once):
    def make(out):
        assert main(arguments(finder, out)) == 0

    return make_once("detector-dist", make)


@pytest.mark.slow
def test_every_file_finds_the_faces_through_the_runtime(files):
    shown = discs(7, size=120)
    for name in FILES:
        rois = NetworkDetector(files / name).detect(shown.image)
        assert len(rois) == 2, name
        for roi, (x, y, size, _) in zip(sorted(rois, key=lambda r: r.cx), shown.regions, strict=True):
            assert roi.cx == pytest.approx(120 * x - 0.5, abs=4), name
            assert roi.cy == pytest.approx(120 * y - 0.5, abs=4), name
            assert roi.size == pytest.approx(120 * size, rel=0.25), name
            assert roi.roll == pytest.approx(0, abs=0.3), name


@pytest.mark.slow
def test_the_report_and_the_specs_tell_what_was_made(files, finder):
    report = json.loads((files / "detector_report.json").read_text())
    assert sorted(report["files"]) == sorted(FILES)
    assert report["held_out"]["sha256"] == read_image_set(finder / "heldout.npz").sha256
    for name in FILES:
        spec, entry = DetectorSpec.read(files / name), report["files"][name]
        assert spec.outputs == {"scores": (16, 16), "rois": (16, 16, 3), "roll": (16, 16, 2)}
        assert spec.provenance["licence"] == "CC0-1.0"
        assert entry["parity"]["average_precision"] > 0.9
        assert entry["transposes"] <= 2
    assert report["files"]["detector_fp32.tflite"]["parity"]["scores"] < 1e-5
    assert report["files"]["detector_int8.tflite"]["bytes"] < 0.5 * report["files"]["detector_fp32.tflite"]["bytes"]
    assert "calibration" in DetectorSpec.read(files / "detector_int8.tflite").provenance


@pytest.mark.slow
def test_moved_files_pass_the_check_and_others_weights_do_not(files, finder, tmp_path, capsys):
    moved = shutil.copy(files / FILES[0], tmp_path / "elsewhere.tflite")
    weights = ["--detector.weights", str(finder / "detector.safetensors")]
    held_out = ["--detector.held-out", str(finder / "heldout.npz")]
    assert main(["check", str(moved), *weights, *held_out]) == 0
    assert "elsewhere.tflite" in capsys.readouterr().out
    other = FaceDetector(DetectorConfig(input_size=SIZE))
    save_checkpoint(tmp_path / "other.safetensors", other, {})
    assert main(["check", str(moved), weights[0], str(tmp_path / "other.safetensors"), *held_out]) == 1
    assert "made from other weights" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_beyond_a_tolerance_is_refused(finder, tmp_path, monkeypatch, capsys):
    strict = {"fp32": {"scores": 0.0}}
    monkeypatch.setattr("export.detector.DetectorEvaluator.tolerances", strict)
    assert main(arguments(finder, tmp_path, "--files", "tflite-fp32")) == 1
    assert "was not written: scores is" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.tflite"))


@pytest.mark.slow
def test_weights_of_another_network_are_named(sources, finder, tmp_path, capsys):
    command = arguments(finder, tmp_path)
    command[command.index("--weights") + 1] = str(sources / "atpn.safetensors")
    assert main(command) == 1
    assert "describes ATPN version 1, expected FaceDetector version 1" in capsys.readouterr().err


@pytest.mark.slow
def test_a_damaged_image_set_is_refused(finder, tmp_path, capsys):
    broken = tmp_path / "heldout.npz"
    broken.write_bytes((finder / "heldout.npz").read_bytes()[:5000])
    command = arguments(finder, tmp_path)
    command[command.index("--held-out") + 1] = str(broken)
    assert main(command) == 1
    assert "heldout.npz is damaged or not made by image-set" in capsys.readouterr().err


def test_sets_put_together_from_renders_hold_different_people(renders, tmp_path):
    sizes = ["--calibration-images", "3", "--held-out-images", "4", "--image-size", "96"]
    assert main(["image-set", "--data", str(renders), "--out", str(tmp_path), *sizes]) == 0
    calibration, held_out = (read_image_set(tmp_path / f"detector_{n}.npz") for n in ("calibration", "heldout"))
    assert calibration.images.shape == (3, 96, 96, 3)
    assert held_out.images.shape == (4, 96, 96, 3)
    assert held_out.origin["images"] == 4
    assert any(len(composite.regions) for composite in held_out.composites)
