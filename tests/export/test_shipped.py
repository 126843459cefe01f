"""The runtime's model files are those of the shipped weights."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from atpn.model import load_checkpoint, load_network
from atpn.model.checkpoint import weights_sha256
from atpn.model.detector import FaceDetector
from atpn.weights import shipped_networks
from edge_runtime import models
from edge_runtime.models import DETECTOR_MODEL, landmark_models, model_path, model_paths
from edge_runtime.spec import DetectorSpec, ModelSpec, detector_outputs, read_spec, standard_outputs
from export import shipped
from export.check import check
from export.config import WEIGHTS_FOLDER, CheckConfig, DetectorConfig, ExportConfig, ModelsConfig
from export.detector import THRESHOLD
from export.errors import ParityError

STALE = "edge_runtime/models is not of the weights in atpn/weights: run `make models`"
MAX_BYTES = 9_500_000


def current(path):
    """Return a shipped file's spec without its provenance, versions, and checksum, as JSON."""
    return dataclasses.replace(read_spec(path), provenance={}, versions={}, content_sha256="").to_json()


@pytest.mark.parametrize("name", landmark_models())
def test_shipped_networks_are_of_the_shipped_weights(name):
    stem, _, precision = name.rpartition("_")
    weights = shipped_networks()[stem]
    model, _ = load_checkpoint(weights)
    config = model.config
    expected = ModelSpec(
        name=stem,
        scheme=config.scheme.name,
        mean_shape=model.mean_shape.numpy(),
        outputs=standard_outputs(config.landmark_count, with_expressions=True),
        input_size=config.input_size,
        precision=precision,
        weights_sha256=weights_sha256(weights),
    )
    assert current(model_path(name)) == expected.to_json(), STALE


def test_the_shipped_detector_is_of_the_shipped_weights():
    weights = WEIGHTS_FOLDER / "detector.safetensors"
    config = load_network(weights, FaceDetector)[0].config
    expected = DetectorSpec(
        name="detector",
        outputs=detector_outputs(config.grid),
        input_size=config.input_size,
        track_threshold=THRESHOLD,
        weights_sha256=weights_sha256(weights, FaceDetector),
    )
    assert current(model_path(DETECTOR_MODEL)) == expected.to_json(), STALE


def test_shipped_files_are_small():
    assert sum(path.stat().st_size for path in model_paths()) <= MAX_BYTES


@pytest.mark.slow
def test_shipped_files_pass_the_export_checks():
    check(CheckConfig(files=tuple(model_paths())))


@pytest.fixture
def exports(monkeypatch, tmp_path):
    """Exports that write a file's name as its content, into an empty package."""
    package = tmp_path / "package"
    package.mkdir()
    monkeypatch.setattr(models, "FOLDER", package)
    seen = []

    def export(config, formats=("tflite",)):
        seen.append((config, formats))
        config.out.mkdir(exist_ok=True)
        names, precisions = ("detector",), ("fp32",)
        if isinstance(config, ExportConfig):
            names, precisions = tuple(config.networks), config.precision
        for name, precision in itertools.product(names, precisions):
            (config.out / f"{name}_{precision}.tflite").write_text(f"{name} {precision}")

    monkeypatch.setattr(shipped, "export_landmarks", export)
    monkeypatch.setattr(shipped, "export_detector", export)
    return package, seen


def test_write_models_exports_the_shipped_weights_and_copies_their_files(exports, tmp_path):
    package, seen = exports
    shipped.write_models(ModelsConfig(tmp_path / "out", force=True))
    names = [*landmark_models(), DETECTOR_MODEL]
    expected = {f"{name}.tflite": " ".join(name.rsplit("_", 1)) for name in names}
    assert {path.name: path.read_text() for path in package.iterdir()} == expected
    (landmarks, formats), (detector, _) = seen
    assert formats == ["tflite"]
    assert landmarks.networks == shipped_networks()
    assert isinstance(detector, DetectorConfig)
    assert detector.files == ("tflite-fp32",)
    assert landmarks.force
    assert detector.force


def test_write_models_keeps_the_files_if_one_fails_its_checks(exports, tmp_path, monkeypatch):
    package, _ = exports
    (package / "atpn_int8.tflite").write_text("before")

    def fail(config):
        raise ParityError("out of tolerance")

    monkeypatch.setattr(shipped, "export_detector", fail)
    with pytest.raises(ParityError):
        shipped.write_models(ModelsConfig(tmp_path / "out"))
    assert [(path.name, path.read_text()) for path in package.iterdir()] == [("atpn_int8.tflite", "before")]
