"""Tiny models, scripted backends and detectors."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime import ROI, ModelSpec, Template, tracker
from edge_runtime.model_file import NO_CHECKSUM, SPEC_FILE, content_sha256
from edge_runtime.spec import standard_outputs


@pytest.fixture
def bare_tflite() -> Path:
    """A 16 px TFLite model without a spec, like the ONNX one. It is committed, for machines without the converter."""
    return Path(__file__).with_name("tiny.tflite")


@pytest.fixture
def converted_tflite(tmp_path: Path, ring: np.ndarray) -> Path:
    """`bare_tflite` as the converter writes it now."""
    torch = pytest.importorskip("torch")
    litert_torch = pytest.importorskip("litert_torch")

    class Tiny(torch.nn.Module):
        def forward(self, image):  # (1, S, S, 3) uint8
            mean = image.float().mean(dim=(1, 2, 3))[:, None]  # (1, 1)
            landmarks = torch.from_numpy(ring)[None] + 0.0 * mean[:, :, None]
            return landmarks, 0.01 + 0.0 * mean.expand(1, 98), 0.1 + 0.0 * mean.expand(1, 3), mean / 255.0

    path = tmp_path / "converted.tflite"
    litert_torch.convert(Tiny().eval(), (torch.zeros(1, 16, 16, 3, dtype=torch.uint8),)).export(str(path))
    return path


def with_spec(bare: Path, spec: ModelSpec, path: Path) -> Path:
    """Write the model with a spec to `path`."""
    path.write_bytes(bare.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(SPEC_FILE, dataclasses.replace(spec, input_size=16).to_json())
    return path


@pytest.fixture
def tiny_tflite(bare_tflite: Path, spec: ModelSpec, tmp_path: Path) -> Path:
    return with_spec(bare_tflite, spec, tmp_path / "tiny.tflite")


@pytest.fixture
def checked_tflite(bare_tflite: Path, spec: ModelSpec, tmp_path: Path) -> Path:
    """`tiny_tflite` with its checksum."""
    network, unfilled = bare_tflite.read_bytes(), dataclasses.replace(spec, content_sha256=NO_CHECKSUM, input_size=16)
    checksum = content_sha256([network, unfilled.to_json().encode()])
    return with_spec(bare_tflite, dataclasses.replace(spec, content_sha256=checksum), tmp_path / "checked.tflite")


@pytest.fixture
def fresh_tflite(converted_tflite: Path, spec: ModelSpec, tmp_path: Path) -> Path:
    """`tiny_tflite` as the converter writes it now."""
    return with_spec(converted_tflite, spec, tmp_path / "fresh.tflite")


class ScriptedBackend:
    """Backend with scripted outputs; by default the mean shape, moved by `shift` crop widths."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.confidence = 0.9
        self.shift = np.zeros(2)
        self.landmarks: np.ndarray | None = None
        self.pose = np.zeros(3)
        self.uncertainty = np.full(98, 0.02)
        self.runs = 0

    def run(self, crop: np.ndarray, query_points: np.ndarray | None = None) -> dict[str, np.ndarray]:
        assert crop.shape == (112, 112, 3)
        assert crop.dtype == np.uint8
        self.runs += 1
        landmarks = self.spec.mean_shape + self.shift if self.landmarks is None else self.landmarks
        return {
            "landmarks": landmarks.astype(np.float32),
            "uncertainty": self.uncertainty.astype(np.float32),
            "pose": self.pose.astype(np.float32),
            "confidence": np.array([self.confidence], np.float32),
        }


class ScriptedDetector:
    """Detector that returns `rois` and counts its calls."""

    def __init__(self) -> None:
        self.rois = [ROI(160.0, 120.0, 90.0)]
        self.calls = 0

    def detect(self, frame: np.ndarray) -> list[ROI]:
        self.calls += 1
        return list(self.rois)


class CenterDetector:
    """Detector of a face in the center of every image; the tiny model's confidence is the image's brightness."""

    def detect(self, frame: np.ndarray) -> list[ROI]:
        height, width = frame.shape[:2]
        return [ROI(width / 2, height / 2, height / 2)]


@pytest.fixture
def center_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "default_detector", CenterDetector)


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
    """Write a video of gray frames, one per brightness."""

    def write(brightness: list[int], name: str = "in.avi", size: tuple[int, int] = (320, 240)) -> Path:
        path = tmp_path / name
        codec = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25.0, size)
        for value in brightness:
            writer.write(np.full((size[1], size[0], 3), value, np.uint8))
        writer.release()
        return path

    return write


@pytest.fixture
def prompt_spec(spec: ModelSpec) -> ModelSpec:
    """Spec of a model with five query points."""
    return dataclasses.replace(spec, prompts=5, outputs=standard_outputs(98, points=5))


@pytest.fixture
def prompt_onnx(write_onnx: Callable[..., Path], prompt_spec: ModelSpec) -> Path:
    """The tiny ONNX model, which returns its query points."""
    onnx = pytest.importorskip("onnx")
    path = write_onnx(prompt_spec.to_json())
    model = onnx.load(path)
    real = onnx.TensorProto.FLOAT
    model.graph.input.insert(0, onnx.helper.make_tensor_value_info("plane", real, [1, 5, 2]))
    model.graph.node.append(onnx.helper.make_node("Identity", ["plane"], ["points"]))
    # The x coordinates, to have different values per point.
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0), "x"))
    model.graph.node.append(onnx.helper.make_node("Gather", ["plane", "x"], ["points_uncertainty"], axis=2))
    for name in ("points", "points_uncertainty"):
        shape = [1, *prompt_spec.outputs[name]]
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, real, shape))
    onnx.save(model, path)
    return path


@pytest.fixture
def lips() -> Template:
    """Template of three points, two of them joined."""
    return Template("lips", np.array([[0.3, 0.7], [0.5, 0.65], [0.7, 0.7]]), edges=((0, 1),))
