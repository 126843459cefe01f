"""Tiny models and scripted parts for the runtime's tests."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime import ROI, ModelSpec
from edge_runtime.spec import SPEC_FILE, SPEC_KEY, standard_outputs


def ring(points: int = 98) -> np.ndarray:
    """(points, 2) in [0, 1]: a lopsided ring whose rectangle is the crop rule's own, two thirds of the crop."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False) ** 1.05
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    low, high = circle.min(axis=0), circle.max(axis=0)
    return (1 / 6 + (circle - low) / (high - low) * 2 / 3).astype(np.float32)


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec(
        name="tiny", scheme="wflw98", mean_shape=ring(), outputs=standard_outputs(98), provenance={"licence": "none"}
    )


@pytest.fixture
def write_onnx(tmp_path: Path, spec: ModelSpec) -> Callable[..., Path]:
    """Writes an ONNX model whose landmarks are constant and whose confidence is the crop's mean brightness."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    def write(spec_json: str | None = spec.to_json(), size: int = 112, names: dict[str, str] | None = None) -> Path:
        names = {name: name for name in spec.outputs} | (names or {})
        constants = {
            "landmarks_value": spec.mean_shape[None],
            "uncertainty_value": np.full((1, 98), 0.01, np.float32),
            "pose_value": np.array([[0.1, 0.2, 0.3]], np.float32),
            "zero": np.float32(0),
            "full": np.float32(255),
            "axes": np.array([1, 2, 3]),
            "flat": np.array([1]),
        }
        nodes = [
            helper.make_node("Cast", ["image"], ["float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=1),
            helper.make_node("Squeeze", ["mean", "axes"], ["mean1"]),
            helper.make_node("Unsqueeze", ["mean1", "flat"], ["mean2"]),
            helper.make_node("Div", ["mean2", "full"], [names["confidence"]]),
            helper.make_node("Mul", ["mean2", "zero"], ["zero2"]),
            helper.make_node("Unsqueeze", ["zero2", "flat"], ["zero3"]),
            helper.make_node("Add", ["zero3", "landmarks_value"], [names["landmarks"]]),
            helper.make_node("Add", ["zero2", "uncertainty_value"], [names["uncertainty"]]),
            helper.make_node("Add", ["zero2", "pose_value"], [names["pose"]]),
        ]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", size, size, 3])],
            [
                helper.make_tensor_value_info(names[name], onnx.TensorProto.FLOAT, ["N", *shape])
                for name, shape in spec.outputs.items()
            ],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        if spec_json is not None:
            helper.set_model_props(model, {SPEC_KEY: spec_json})
        path = tmp_path / "tiny.onnx"
        onnx.save(model, path)
        return path

    return write


@pytest.fixture(scope="session")
def bare_tflite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 16 px TFLite model without a spec; same rule as the ONNX one, outputs named by the converter."""
    torch = pytest.importorskip("torch")
    litert_torch = pytest.importorskip("litert_torch")

    class Tiny(torch.nn.Module):
        def forward(self, image):  # (1, S, S, 3) uint8
            mean = image.float().mean(dim=(1, 2, 3))[:, None]  # (1, 1)
            landmarks = torch.from_numpy(ring())[None] + 0.0 * mean[:, :, None]
            return landmarks, 0.01 + 0.0 * mean.expand(1, 98), 0.1 + 0.0 * mean.expand(1, 3), mean / 255.0

    path = tmp_path_factory.mktemp("tflite") / "tiny.tflite"
    litert_torch.convert(Tiny().eval(), (torch.zeros(1, 16, 16, 3, dtype=torch.uint8),)).export(str(path))
    return path


@pytest.fixture
def tiny_tflite(bare_tflite: Path, spec: ModelSpec, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(bare_tflite.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(SPEC_FILE, dataclasses.replace(spec, input_size=16).to_json())
    return path


class ScriptedBackend:
    """A network that says what the test wants: `confidence`, landmarks = mean shape moved by `shift` crop sides."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.confidence = 0.9
        self.shift = np.zeros(2)
        self.landmarks: np.ndarray | None = None
        self.pose = np.zeros(3)
        self.runs = 0

    def run(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        assert crop.shape == (112, 112, 3)
        assert crop.dtype == np.uint8
        self.runs += 1
        landmarks = self.spec.mean_shape + self.shift if self.landmarks is None else self.landmarks
        return {
            "landmarks": landmarks.astype(np.float32),
            "uncertainty": np.full(98, 0.02, np.float32),
            "pose": self.pose.astype(np.float32),
            "confidence": np.array([self.confidence], np.float32),
        }


class ScriptedDetector:
    """A detector that finds `rois` and counts how often it is asked."""

    def __init__(self) -> None:
        self.rois = [ROI(160.0, 120.0, 90.0)]
        self.calls = 0

    def detect(self, frame: np.ndarray) -> list[ROI]:
        self.calls += 1
        return list(self.rois)


@pytest.fixture
def backend(spec: ModelSpec) -> ScriptedBackend:
    return ScriptedBackend(spec)


@pytest.fixture
def detector() -> ScriptedDetector:
    return ScriptedDetector()


@pytest.fixture
def frame() -> np.ndarray:
    return np.full((240, 320, 3), 200, np.uint8)


@pytest.fixture
def write_video(tmp_path: Path) -> Callable[..., Path]:
    """Writes a video of grey frames, one per brightness."""

    def write(brightness: list[int], name: str = "in.avi", size: tuple[int, int] = (320, 240)) -> Path:
        path = tmp_path / name
        codec = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25.0, size)
        for value in brightness:
            writer.write(np.full((size[1], size[0], 3), value, np.uint8))
        writer.release()
        return path

    return write
