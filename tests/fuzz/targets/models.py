"""Model files, loaded and run once."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_runtime import BackendError, ModelFileError, ModelSpec, load_backend
from edge_runtime.models import DETECTOR_MODEL, model_path
from edge_runtime.spec import read_spec, standard_outputs
from tests.fuzz.mutations import of_bytes, of_json
from tests.fuzz.target import Target, digest

BARE_TFLITE = Path(__file__).parents[2] / "edge_runtime" / "tiny.tflite"
SPEC_KEY, SPEC_FILE = "model_spec", "model_spec.json"
CHECKSUM = "content_sha256"
"""Key of the checksum in a spec; see the runtime for what it is of."""
PACKAGE = "valid-files.mlpackage"
PROGRAM = f"{PACKAGE}/Data/com.apple.CoreML/model.mlmodel"
NO_CHECKSUM = "0" * 64
INPUT_SIZE = 16
"""Side of the tiny models' input, pixels."""


def tiny_spec() -> ModelSpec:
    """Return the spec of the tiny models."""
    angle = np.linspace(0, 2 * np.pi, 98, endpoint=False) ** 1.05
    shape = 0.5 + np.stack([np.cos(angle), np.sin(angle)], axis=1) / 3
    outputs = standard_outputs(98)
    return ModelSpec(name="tiny", scheme="wflw98", mean_shape=shape, outputs=outputs, input_size=INPUT_SIZE)


def write_onnx(path: Path, spec: ModelSpec) -> None:
    """Write an ONNX model with constant landmarks, the crop's mean brightness as confidence, and a checksum."""
    constants = {
        "landmarks_value": spec.mean_shape[None],
        "uncertainty_value": np.full((1, 98), 0.01, np.float32),
        "pose_value": np.array([[0.1, 0.2, 0.3]], np.float32),
        "axes": np.array([1, 2, 3]),
        "flat": np.array([1]),
        "full": np.float32(255),
        "zero": np.float32(0),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=1),
        helper.make_node("Squeeze", ["mean", "axes"], ["mean1"]),
        helper.make_node("Unsqueeze", ["mean1", "flat"], ["mean2"]),
        helper.make_node("Div", ["mean2", "full"], ["confidence"]),
        helper.make_node("Mul", ["mean2", "zero"], ["zero2"]),
        helper.make_node("Unsqueeze", ["zero2", "flat"], ["zero3"]),
        helper.make_node("Add", ["zero3", "landmarks_value"], ["landmarks"]),
        helper.make_node("Add", ["zero2", "uncertainty_value"], ["uncertainty"]),
        helper.make_node("Add", ["zero2", "pose_value"], ["pose"]),
    ]
    size = spec.input_size
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, shape in spec.outputs.items()
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", [image], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {SPEC_KEY: _with_checksum(spec, NO_CHECKSUM)})
    content = model.SerializeToString()
    path.write_bytes(content.replace(NO_CHECKSUM.encode(), hashlib.sha256(content).hexdigest().encode()))


def write_tflite(path: Path, spec: ModelSpec) -> None:
    """Write the tiny TFLite model with a spec and a checksum."""
    bare = BARE_TFLITE.read_bytes()
    checksum = hashlib.sha256(bare + _with_checksum(spec, NO_CHECKSUM).encode()).hexdigest()
    path.write_bytes(bare)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(SPEC_FILE, _with_checksum(spec, checksum))


def _with_checksum(spec: ModelSpec, checksum: str) -> str:
    return json.dumps(json.loads(spec.to_json()) | {CHECKSUM: checksum}, indent=1)


def _make_files(folder: Path) -> None:
    write_onnx(folder / "tiny.onnx", tiny_spec())
    write_tflite(folder / "tiny.tflite", tiny_spec())


def _make_shipped(folder: Path) -> None:
    (folder / "detector.tflite").write_bytes(model_path(DETECTOR_MODEL).read_bytes())


def _run(_: Path, file: Path) -> str | None:
    """Return a digest of the outputs for one crop; None if the file has no checksum (any more)."""
    backend = load_backend(file)
    size = backend.spec.input_size
    crop = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    outputs = backend.run(crop)
    if CHECKSUM.encode() not in file.read_bytes():
        return None
    return digest(*(part for name, array in sorted(outputs.items()) for part in (name, array)))


def _make_tflite(folder: Path) -> None:
    write_tflite(folder / "tiny.tflite", tiny_spec())


def _with_other_spec(content: bytes) -> st.SearchStrategy[bytes]:
    """Return TFLite files whose spec is damaged, but whose archive is valid."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        spec = json.loads(archive.read(SPEC_FILE))
    del spec[CHECKSUM]  # else it would be the only fault that is found

    def packed(changed: bytes) -> bytes:
        stream = io.BytesIO(BARE_TFLITE.read_bytes())
        with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(SPEC_FILE, changed)
        return stream.getvalue()

    return of_json(json.dumps(spec).encode()).map(packed)


def _make_package(folder: Path) -> None:
    """Write the part of a CoreML package that holds the spec."""
    entry = _field(1, SPEC_KEY.encode()) + _field(2, tiny_spec().to_json().encode())
    program = folder / PROGRAM
    program.parent.mkdir(parents=True)
    program.write_bytes(_field(2, _field(100, _field(100, entry))))


def _field(number: int, content: bytes) -> bytes:
    """Return a protobuf field of bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + _varint(value >> 7) if value > 0x7F else bytes([value])


ERRORS = (ModelFileError, BackendError)
TARGETS = (
    Target("model-file", _make_files, _run, ERRORS, of_bytes, compared=True),
    Target("shipped-model-file", _make_shipped, _run, ERRORS, of_bytes, compared=True, weight=0.5),
    Target("coreml-package", _make_package, lambda folder, _: read_spec(folder / PACKAGE), ERRORS, of_bytes),
    Target("spec-in-model-file", _make_tflite, _run, ERRORS, _with_other_spec),
)
