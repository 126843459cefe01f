"""Each adapter prepares inputs and decodes points as the network's authors do."""

from __future__ import annotations

import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.baselines import adapters
from benchmarks.baselines.adapters import MediaPipeNetwork, OpenSeeFaceNetwork, open_baselines
from edge_runtime import ROI
from edge_runtime.errors import ModelFileError
from edge_runtime.landmarks import IBUG_68, WFLW_98, convert

ORANGE = (10, 120, 250)
"""Blue, green, red: a swapped channel is seen at once."""
REGION = ROI(100.0, 80.0, 60.0, 0.3)


@pytest.fixture
def frame():
    return np.full((160, 200, 3), ORANGE, np.uint8)


def to_frame(u, v):
    """Where a fraction of the ROI lies in the frame, by trigonometry."""
    x, y = (u - 0.5) * REGION.size, (v - 0.5) * REGION.size
    c, s = np.cos(REGION.roll), np.sin(REGION.roll)
    return REGION.cx + c * x - s * y, REGION.cy + s * x + c * y


@pytest.mark.parametrize(
    ("name", "size", "count", "expected"),
    [
        ("PFLD-GhostOne", 112, 98, [(10 / 255 - 0.5) / 0.5, (120 / 255 - 0.5) / 0.5, (250 / 255 - 0.5) / 0.5]),
        ("GhostNet-Slim", 112, 98, [(10 / 255 - 0.5) / 0.5, (120 / 255 - 0.5) / 0.5, (250 / 255 - 0.5) / 0.5]),
        ("Peppa slim", 160, 68, [(10 - 127) / 127, (120 - 127) / 127, (250 - 127) / 127]),
    ],
)
def test_regressors(write_constant, frame, name, size, count, expected):
    points = np.random.default_rng(0).random((count, 2))
    file, opened = adapters.BASELINES[name]
    network = opened(write_constant(file, size, np.concatenate([points.ravel(), np.ones(7)])))
    tensor = network.prepare(frame, REGION)
    assert tensor.shape == (1, 3, size, size)
    assert tensor[0, :, 50, 50] == pytest.approx(expected, abs=1e-6)
    found = network.decode(network.run(tensor), REGION)
    x, y = to_frame(points[:, 0], points[:, 1])
    np.testing.assert_allclose(found, np.stack([x + 0.5, y + 0.5], axis=1), atol=1e-4)
    ibug = found if count == 68 else convert(found, WFLW_98, IBUG_68)
    np.testing.assert_array_equal(network.to_ibug(found), ibug)


def test_openseeface_reads_peaks_and_their_offsets(write_constant, frame):
    rng = np.random.default_rng(1)
    maps = rng.uniform(0.2, 0.4, (198, 28, 28))
    rows, columns = rng.integers(0, 28, (2, 66))
    offsets = rng.uniform(-0.05, 0.05, (2, 66))
    for i in range(66):
        maps[i, rows[i], columns[i]] = 0.9
        for axis in range(2):
            maps[66 * (1 + axis) + i, rows[i], columns[i]] = 1 / (1 + np.exp(-16 * offsets[axis, i]))
    network = OpenSeeFaceNetwork(write_constant("osf.onnx", 224, maps))
    tensor = network.prepare(frame, REGION)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    assert tensor.dtype == np.float32
    assert tensor[0, :, 9, 9] == pytest.approx((np.array(ORANGE[::-1]) / 255 - mean) / deviation, abs=1e-5)
    found = network.decode(network.run(tensor), REGION)
    # Pixel of the 224: cell times 223/27 plus the offset; pixel p lies at (p + 1/2)/224 of the region.
    across, down = (223 * (cells / 27 + offsets[axis]) for axis, cells in ((1, columns), (0, rows)))
    np.testing.assert_allclose(found, np.stack(to_frame((across + 0.5) / 224, (down + 0.5) / 224), axis=1), atol=1e-3)


def test_openseeface_lacks_the_inner_mouth_corners():
    shape = np.stack([np.arange(66.0), -np.arange(66.0)], axis=1)
    made = OpenSeeFaceNetwork.to_ibug(None, shape)
    assert set(range(68)) - set(OpenSeeFaceNetwork.points) == {60, 64}
    assert np.isnan(made[[60, 64]]).all()
    assert made[[0, 47, 48, 49, 54, 55, 61, 67], 0].tolist() == [0, 47, 58, 48, 62, 53, 59, 65]
    assert len(set(adapters.OPENSEEFACE_TO_IBUG)) == 66


def test_mediapipe_reads_pixels_of_its_crop(monkeypatch, tmp_path, frame):
    content = {}

    class Mesh:
        input_size = 192

        def __init__(self, model, name):
            content["model"] = model

        def __call__(self, tensor):
            return np.arange(1404, dtype=np.float32) / 10

    monkeypatch.setattr(adapters, "TFLiteNetwork", Mesh)
    with zipfile.ZipFile(tmp_path / "mediapipe.whl", "w") as wheel:
        wheel.writestr(adapters.MEDIAPIPE_FILE, b"the model")
    network = MediaPipeNetwork(tmp_path / "mediapipe.whl")
    assert content["model"] == b"the model"
    tensor = network.prepare(frame, REGION)
    assert tensor.shape == (1, 192, 192, 3)
    assert tensor[0, 9, 9] == pytest.approx(np.array(ORANGE[::-1]) / 255, abs=1e-6)
    found = network.decode(network.run(tensor), REGION)
    assert found[100] == pytest.approx(to_frame((30.0 + 0.5) / 192, (30.1 + 0.5) / 192), abs=1e-3)
    nose_tip, chin = network.to_ibug(found)[[30, 8]]
    np.testing.assert_array_equal([nose_tip, chin], found[[4, 152]])


def test_mesh_vertices_are_symmetric(assets):
    lines = (assets / "canonical_face" / "canonical_face_model.obj").read_text().splitlines()
    mesh = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    shape = mesh[list(adapters.MEDIAPIPE_VERTICES), :2]
    np.testing.assert_allclose(shape[IBUG_68.mirror] * (-1, 1), shape, atol=0.02)


def test_mediapipe_rejects_a_wheel_without_the_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "new.whl", "w") as wheel:
        wheel.writestr("mediapipe/__init__.py", "")
    with pytest.raises(ModelFileError, match=r"0\.10\.21"):
        MediaPipeNetwork(tmp_path / "new.whl")


def test_open_baselines_skips_missing_and_damaged_files(write_constant, tmp_path):
    write_constant("peppa_slim160_68.onnx", 160, np.zeros(143))
    (tmp_path / "pfld_ghostone_98.onnx").write_bytes(b"truncated")
    found, skipped = open_baselines(tmp_path, mediapipe=tmp_path / "gone.whl")
    assert [network.name for network in found] == ["Peppa slim"]
    assert set(skipped) == {"OpenSeeFace", "MediaPipe", "PFLD-GhostOne", "GhostNet-Slim"}
    assert str(tmp_path / "openseeface_lm0_66.onnx") in skipped["OpenSeeFace"]
    assert "gone.whl" in skipped["MediaPipe"]
    assert "damaged" in skipped["PFLD-GhostOne"]


def test_open_baselines_names_the_extra_without_onnxruntime(write_constant, tmp_path, monkeypatch):
    write_constant("peppa_slim160_68.onnx", 160, np.zeros(143))
    util = SimpleNamespace(util=SimpleNamespace(find_spec=lambda name: None))
    monkeypatch.setattr("benchmarks.baselines.engines.importlib", util)
    found, skipped = open_baselines(tmp_path)
    assert found == []
    assert "atpn[bench]" in skipped["Peppa slim"]
