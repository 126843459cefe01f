"""What makes an exported file outdated: everything that changes its bytes, and nothing else."""

from __future__ import annotations

import ast
import dataclasses
import importlib.metadata
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from atpn.data.composites import Composite
from atpn.model import save_checkpoint
from atpn.model.detector import DetectorConfig as NetworkConfig
from atpn.model.detector import FaceDetector
from atpn.model.point_head import PromptHead
from edge_runtime.spec import ModelSpec
from export import detector, image_archive, landmarks, metadata, pipeline
from export.config import DetectorConfig, ExportConfig
from export.formats import base, load_format
from export.image_set import write_image_set
from export.metadata import append_spec

HEAD = b"\x1c\x00\x00\x00TFL3"
LIPS = [[0.3, 0.7], [0.5, 0.65], [0.7, 0.7]]
FORMATS = ("tflite", "onnx", "coreml")


@dataclasses.dataclass(frozen=True)
class Passed:
    """A report without problems."""

    path: Path
    up_to_date: bool
    problems: tuple[str, ...] = ()


@pytest.fixture
def convert(monkeypatch):
    """Export artifacts into files that hold nothing but a spec; return the names of those that were converted."""
    monkeypatch.setattr(pipeline, "evaluate_artifact", lambda path, *given, up_to_date=False: Passed(path, up_to_date))
    names = []

    def write(job, path):
        names.append(path.name)
        path.write_bytes(append_spec(HEAD, job.spec))

    def run(artifacts):
        names.clear()
        for artifact in artifacts:
            kind = dataclasses.replace(artifact.format, write=write)
            path = artifact.path.with_name(f"{artifact.path.stem}_{kind.name}.tflite")
            pipeline.export_artifact(pipeline.Artifact(path, kind, artifact.job), evaluator=None)
        return sorted(names)

    return run


@pytest.fixture
def landmark_files(tmp_path, sources, model, convert):
    """Export every format and precision of a network with a prompt head, from a folder of its own."""
    torch.manual_seed(0)
    folder = shutil.copytree(sources, tmp_path / "sources")
    prompts = model.with_head(PromptHead(model.landmark_branch.residual.in_features, 4))
    save_checkpoint(folder / "atpn.safetensors", prompts, {"data": "noise"})
    (folder / "lips.json").write_text(json.dumps({"name": "lips", "points": LIPS}))

    def run(**options):
        files = {"weights": "atpn.safetensors", "held_out": "heldout.npz", "calibration": "calibration.npz"}
        config = ExportConfig(**{k: folder / v for k, v in files.items()}, out=tmp_path / "dist", **options)
        kinds = [load_format(name) for name in FORMATS]
        chosen = [(kind, precision) for kind in kinds for precision in kind.precisions]
        ((name, evaluator),) = landmarks.LandmarkEvaluator.load_all(config).items()
        return convert(landmarks.artifacts_of(config, name, evaluator, chosen))

    run.folder = folder
    return run


def calibrated(names):
    """The files whose value ranges come from calibration crops."""
    return [name for name in names if "int8" in name and "coreml" not in name]


def test_nothing_changed_nothing_is_converted(landmark_files):
    assert len(landmark_files()) == 7
    assert landmark_files() == []


def other_crops(folder, monkeypatch):
    path = folder / "calibration.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    ends = content["ends"]  # the first two crops change places: the same count, the same labels
    jpegs = np.split(content["jpeg"], ends[:-1])
    jpegs[:2] = jpegs[1::-1]
    np.savez_compressed(path, **content | {"jpeg": np.concatenate(jpegs), "ends": np.cumsum([len(j) for j in jpegs])})


def other_decoder(folder, monkeypatch):
    decode = image_archive.decode_image
    monkeypatch.setattr(image_archive, "decode_image", lambda jpeg, flags: decode(jpeg, flags) ^ 1)


def other_seed(folder, monkeypatch):
    monkeypatch.setattr(base, "_CALIBRATION_SEED", base._CALIBRATION_SEED + 1)


def other_planes(folder, monkeypatch):
    monkeypatch.setattr(base, "random_plane", lambda count, rng: rng.random((count, 2), np.float32) / 2)


@pytest.mark.parametrize("change", [other_crops, other_decoder, other_seed, other_planes])
def test_calibration_makes_calibrated_files_outdated(landmark_files, monkeypatch, change):
    names = landmark_files()
    change(landmark_files.folder, monkeypatch)
    assert landmark_files() == calibrated(names)
    assert landmark_files() == []


@pytest.mark.parametrize("options", [{"ranges": "moving-average"}, {"calibration_crops": 5}])
def test_options_of_calibration_make_calibrated_files_outdated(landmark_files, options):
    names = landmark_files()
    assert landmark_files(**options) == calibrated(names)
    assert landmark_files(**options) == []


def other_weights(folder, monkeypatch):
    path = folder / "atpn.safetensors"
    network, about = landmarks.load_checkpoint(path)
    with torch.no_grad():
        network.point_head.coefficients.bias[0] += 1e-3
    save_checkpoint(path, network, about)


def other_note(folder, monkeypatch):
    path = folder / "atpn.json"
    description = json.loads(path.read_text())
    description["metadata"]["data"] = "other noise"
    path.write_text(json.dumps(description))


def other_versions(folder, monkeypatch):
    version = importlib.metadata.version
    monkeypatch.setattr("importlib.metadata.version", lambda name: version(name) + (".1" if name == "numpy" else ""))


def other_exporter(folder, monkeypatch):
    monkeypatch.setattr(metadata, "exporter_version", lambda: "0.1.0+changed")


def other_threshold(folder, monkeypatch):
    monkeypatch.setattr(landmarks, "ModelSpec", lambda **values: ModelSpec(**values | {"uncertainty_threshold": 0.05}))


def other_writer(folder, monkeypatch):
    text = ModelSpec.to_json
    monkeypatch.setattr(ModelSpec, "to_json", lambda spec: text(spec).replace("{", '{"a_later_field": 1,', 1))


@pytest.mark.parametrize(
    "change",
    [other_weights, other_note, other_versions, other_exporter, other_threshold, other_writer],
)
def test_the_network_its_spec_and_the_converters_make_every_file_outdated(landmark_files, monkeypatch, change):
    names = landmark_files()
    change(landmark_files.folder, monkeypatch)
    assert landmark_files() == names
    assert landmark_files() == []


@pytest.mark.parametrize("options", [{"prompts": 9}, {"heads": "none"}])
def test_other_inputs_and_outputs_make_every_file_outdated(landmark_files, options):
    names = landmark_files()
    assert landmark_files(**options) == names
    assert landmark_files(**options) == []


@pytest.mark.parametrize(
    "change",
    [
        {"points": [[0.3, 0.7], [0.5, 0.65], [0.7, 0.71]]},
        {"points": [[0.3, 0.7], [0.5, 0.65], [0.7, 0.700002]]},  # the same in the spec, which rounds
        {"names": ["left", "middle", "right"]},
    ],
)
def test_a_changed_template_makes_every_file_outdated(landmark_files, change):
    template = landmark_files.folder / "lips.json"
    names = landmark_files(template=template)
    assert landmark_files(template=template) == []
    template.write_text(json.dumps({"name": "lips", "points": LIPS} | change))
    assert landmark_files(template=template) == names
    assert landmark_files(template=template) == []


def test_every_source_that_shapes_files_is_part_of_the_exporters_version():
    """What the formats import, but for what only names options, raises errors, or runs finished files."""
    left_out = {"export.config", "export.errors", "export.testing.mil"}
    hashed = {path.resolve() for path in metadata.sources()}
    waiting, found = ["export.formats", *(f"export.formats.{name}" for name in FORMATS)], set()
    while waiting:
        name = waiting.pop()
        found.add(name)
        tree = ast.parse(Path(importlib.util.find_spec(name).origin).read_text())
        imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names = {n for node in imported for n in (node.module, *(f"{node.module}.{a.name}" for a in node.names))}
        names |= {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
        for each in names - found - left_out:
            parent = each.rpartition(".")[0]
            if each.split(".")[0] in ("export", "atpn") and importlib.util.find_spec(parent or each):
                try:
                    spec = importlib.util.find_spec(each)
                except ModuleNotFoundError:  # a name in a module
                    spec = None
                waiting += [each] if spec else []
    packages = {"export", "atpn"}  # their __init__ is a docstring
    missing = [n for n in found - packages if Path(importlib.util.find_spec(n).origin).resolve() not in hashed]
    assert missing == []
    assert "export.points" in found
    assert "atpn.model.refinement" in found


def test_a_changed_source_changes_the_exporters_version(tmp_path, monkeypatch):
    versions = set()
    for text in ("FLOAT_SCOPES = ('stem',)", "FLOAT_SCOPES = ()"):
        (tmp_path / "quantize.py").write_text(text)
        monkeypatch.setattr(metadata, "sources", lambda: [tmp_path / "quantize.py"])
        versions.add(metadata.exporter_version.__wrapped__())
    assert len(versions) == 2


@pytest.mark.parametrize("name", FORMATS)
def test_versions_of_all_libraries_that_shape_a_file_are_in_it(name):
    libraries = set(load_format(name).libraries)
    assert {"torch", "numpy"} <= libraries
    assert name != "tflite" or {"litert-torch", "litert-converter", "ai-edge-litert", "flatbuffers"} <= libraries
    assert name != "onnx" or {"onnx", "onnxscript", "onnx-ir", "onnxruntime"} <= libraries


@pytest.fixture
def detector_files(tmp_path, convert):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "detector.safetensors", FaceDetector(NetworkConfig(input_size=64)).eval(), {})
    rng = np.random.default_rng(0)

    def write_set(name, count):
        region = np.array([[0.5, 0.5, 0.3, 0.0]], np.float32)
        images = [Composite(rng.integers(0, 256, (64, 64, 3), np.uint8), region, np.ones(1, bool))] * count
        write_image_set(tmp_path / f"{name}.npz", images, {"data": "noise"})

    write_set("calibration", 2)
    write_set("heldout", 2)

    def run():
        files = {"weights": "detector.safetensors", "held_out": "heldout.npz", "calibration": "calibration.npz"}
        config = DetectorConfig(**{k: tmp_path / v for k, v in files.items()}, out=tmp_path / "dist")
        return convert(detector._artifacts(config, detector.DetectorEvaluator.load(config)))

    run.folder, run.write_set = tmp_path, write_set
    return run


def test_a_detectors_files_are_kept_until_something_changes(detector_files, monkeypatch):
    names = detector_files()
    assert len(names) == 3
    assert detector_files() == []
    detector_files.write_set("calibration", 2)
    assert detector_files() == ["detector_int8_tflite.tflite"]
    other_decoder(None, monkeypatch)
    assert detector_files() == ["detector_int8_tflite.tflite"]
    detector_files.write_set("heldout", 2)  # evaluates files, does not shape them
    assert detector_files() == []


def test_a_detectors_network_threshold_and_converters_make_its_files_outdated(detector_files, monkeypatch):
    names = detector_files()
    monkeypatch.setattr(detector, "THRESHOLD", 0.35)
    assert detector_files() == names
    other_versions(None, monkeypatch)
    assert detector_files() == names
    other_exporter(None, monkeypatch)
    assert detector_files() == names
    network = FaceDetector(NetworkConfig(input_size=64)).eval()
    save_checkpoint(detector_files.folder / "detector.safetensors", network, {})
    assert detector_files() == names
    assert detector_files() == []
