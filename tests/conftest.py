"""Fixtures that the tests of several packages need."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import ModelSpec
from edge_runtime.model_file import SPEC_KEY
from edge_runtime.spec import standard_outputs

_SHARED = Path(__file__).resolve().parents[2] / "shared"

MakeOnce = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Return a folder that `make` fills once per run: the process that asks first makes it, the others wait for it.

    The folder is shared by all processes of the run; read it, never write it.
    """
    own = tmp_path_factory.getbasetemp()
    base = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own  # this run's, of all its processes

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        done = base / name
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed or the process ends
            if not done.exists():
                unfinished = tmp_path_factory.mktemp(name)
                make(unfinished)
                unfinished.rename(done)
        return done

    return folder


@pytest.fixture(scope="session")
def assets() -> Path:
    """The 3D assets that the shipped weights' training faces are rendered from; not part of the repository."""
    folder = _SHARED / "assets"
    if not folder.is_dir():
        pytest.skip(f"the 3D assets are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def real_faces() -> Path:
    """Real photographs and videos to measure on; not part of the repository."""
    folder = _SHARED / "real"
    if not folder.is_dir():
        pytest.skip(f"the real faces are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def ring() -> np.ndarray:
    """(98, 2) in [0, 1]: a lopsided ring whose rectangle is the crop rule's own, two thirds of the crop."""
    angle = np.linspace(0, 2 * np.pi, 98, endpoint=False) ** 1.05
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    low, high = circle.min(axis=0), circle.max(axis=0)
    return (1 / 6 + (circle - low) / (high - low) * 2 / 3).astype(np.float32)


@pytest.fixture
def spec(ring: np.ndarray) -> ModelSpec:
    """What the tiny models below claim to be."""
    return ModelSpec(
        name="tiny", scheme="wflw98", mean_shape=ring, outputs=standard_outputs(98), provenance={"licence": "none"}
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
