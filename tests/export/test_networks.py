"""Several networks in one export or check."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from atpn.model import save_checkpoint
from atpn.weights import SHIPPED, shipped_networks
from edge_runtime import models
from edge_runtime.spec import ModelSpec, standard_outputs
from export import check, config, landmarks
from export.config import ExportConfig
from export.errors import ParityError
from export.metadata import append_spec
from export.report import Report


@pytest.fixture
def two_networks(monkeypatch, sources, tmp_path, tiny_lite):
    """Checkpoints of two shipped networks, by the name of their files."""
    small = tmp_path / "small.safetensors"
    save_checkpoint(small, tiny_lite, {"data": "noise"})
    networks = {"atpn": sources / "atpn.safetensors", "atpn_small": small}
    monkeypatch.setattr(config, "shipped_networks", lambda: networks)
    return networks


@pytest.fixture
def options(sources, tmp_path):
    crops = {name: sources / f"{name}.npz" for name in ("calibration", "heldout")}
    return {"calibration": crops["calibration"], "held_out": crops["heldout"], "out": tmp_path / "dist"}


@pytest.fixture
def written(monkeypatch):
    """What would be written, per network: file names, names in their specs, and the report's page."""
    seen = []

    def export(artifacts, evaluator, *more):
        specs = {artifact.path.name: artifact.job.spec for artifact in artifacts}
        seen.append((list(specs), {spec.name for spec in specs.values()}, evaluator.page))
        assert {spec.weights_sha256 for spec in specs.values()} == {evaluator.weights_sha256}

    monkeypatch.setattr(landmarks, "export_artifacts", export)
    return seen


def test_every_network_of_the_runtime_has_weights_of_its_name(monkeypatch):
    monkeypatch.setattr("atpn.weights.NETWORKS", {"atpn": "atpn", "lite": "atpn_lite"})
    assert shipped_networks() == {"atpn": SHIPPED, "atpn_lite": SHIPPED.with_name("lite.safetensors")}


def test_all_shipped_networks_are_exported_if_none_is_named(two_networks, options, written):
    landmarks.export_landmarks(ExportConfig(precision=("fp32", "int8"), **options), ["onnx"])
    assert written == [
        (["atpn_fp32.onnx", "atpn_int8.onnx"], {"atpn"}, "report"),
        (["atpn_small_fp32.onnx", "atpn_small_int8.onnx"], {"atpn_small"}, "report_atpn_small"),
    ]


def test_a_named_network_is_exported_alone(two_networks, options, written):
    weights = two_networks["atpn_small"]
    for name, stem in ((None, "atpn"), ("mine", "mine")):
        landmarks.export_landmarks(ExportConfig(precision=("fp16",), weights=weights, name=name, **options), ["tflite"])
        assert written.pop() == ([f"{stem}_fp16.tflite"], {stem}, "report")
    assert not written


def test_a_name_for_the_files_of_two_networks_is_refused(two_networks):
    with pytest.raises(ValueError, match="--name mine is for the files of one network: give its --weights"):
        ExportConfig(name="mine")


def test_a_network_out_of_tolerance_does_not_keep_the_next_from_being_written(
    two_networks, options, monkeypatch, tmp_path
):
    pages = []

    def fail(artifacts, evaluator, *more):
        pages.append(evaluator.page)
        raise ParityError(f"{evaluator.page} is out of tolerance")

    monkeypatch.setattr(landmarks, "export_artifacts", fail)
    with pytest.raises(ParityError, match="report is out of tolerance\nreport_atpn_small is out of tolerance"):
        landmarks.export_landmarks(ExportConfig(**options), ["onnx"])
    assert pages == ["report", "report_atpn_small"]


def test_files_are_compared_with_the_network_that_they_were_made_from(tmp_path):
    first, second = (SimpleNamespace(weights_sha256=letter * 64) for letter in "ab")
    paths = {letter: tmp_path / f"{letter}.tflite" for letter in "abc"}
    for letter, path in paths.items():
        spec = ModelSpec(
            name="net",
            scheme="wflw98",
            mean_shape=np.linspace((0, 0), (1, 1), 98, dtype=np.float32),
            outputs=standard_outputs(98),
            weights_sha256=letter * 64,
        )
        path.write_bytes(append_spec(b"\x1c\x00\x00\x00TFL3", spec))
    unreadable = tmp_path / "unreadable.tflite"
    unreadable.touch()
    found = check.by_network([paths["b"], unreadable, paths["c"], paths["a"]], [first, second])
    assert found == [(first, [unreadable, paths["c"], paths["a"]]), (second, [paths["b"]])]
    assert check.by_network([paths["b"]], [first, second]) == [(second, [paths["b"]])]


def test_networks_share_the_entries_of_a_report_and_have_a_page_each(tmp_path, capsys):
    for page, name in ((None, "a.tflite"), ("report_small", "b.tflite")):
        (tmp_path / name).touch()
        report = Report("report", [["file"], [name]], "", {"weights_sha256": name}, page=page)
        report.write(tmp_path, {name: {"sha256": "1"}})
    assert (tmp_path / "report.md").read_text().count("a.tflite") == 1
    assert (tmp_path / "report_small.md").read_text().count("b.tflite") == 1
    assert '"a.tflite": {' in (tmp_path / "report.json").read_text()
    assert '"b.tflite": {' in (tmp_path / "report.json").read_text()
    assert not (tmp_path / "report_small.json").exists()


def test_the_runtimes_networks_begin_with_the_default():
    assert models.DEFAULT_NETWORK == "atpn"
    assert set(shipped_networks()) == set(models.NETWORKS.values())
