import dataclasses
import importlib.util
import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from benchmarks.clip import rendered_face
from edge_runtime import ROI, backends, extract_crop, models
from edge_runtime.backends import default_model_path, load_backend, match_inputs, match_outputs
from edge_runtime.errors import BackendError, ModelFileError
from edge_runtime.model_file import SPEC_FILE
from edge_runtime.models import DETECTOR_MODEL, landmark_models, model_path, model_paths
from edge_runtime.spec import DetectorSpec, standard_outputs

SHUFFLED = [("o3", (1,)), ("o0", (98, 2)), ("o2", (3,)), ("o1", (98,))]


def check_outputs(outputs, spec, brightness):
    assert {name: value.shape for name, value in outputs.items()} == standard_outputs(98)
    assert all(value.dtype == np.float32 for value in outputs.values())
    assert np.allclose(outputs["landmarks"], spec.mean_shape, atol=1e-6)
    assert outputs["confidence"][0] == pytest.approx(brightness / 255, abs=1e-5)


@pytest.mark.parametrize("names", [None, {"landmarks": "StatefulPartitionedCall:3", "pose": "output_1"}])
def test_onnx_runs(write_onnx, spec, names):
    backend = load_backend(write_onnx(names=names))
    check_outputs(backend.run(np.full((112, 112, 3), 51, np.uint8)), spec, 51)


@pytest.mark.parametrize(("engine", "module"), [("litert", "ai_edge_litert"), ("tflite", "tflite_runtime")])
def test_tflite_runs_with_the_converters_names(tiny_tflite, engine, module):
    pytest.importorskip(module)
    backend = load_backend(tiny_tflite, engine, threads=2)
    check_outputs(backend.run(np.full((16, 16, 3), 204, np.uint8)), backend.spec, 204)
    first = backend.run(np.zeros((16, 16, 3), np.uint8))
    backend.run(np.full((16, 16, 3), 255, np.uint8))
    assert first["confidence"][0] == 0, "outputs are the caller's own"


@pytest.mark.slow
def test_tiny_model_equals_the_converters_output(tiny_tflite, fresh_tflite):
    crop = np.full((16, 16, 3), 77, np.uint8)
    ready, fresh = (load_backend(path).run(crop) for path in (tiny_tflite, fresh_tflite))
    assert all(np.array_equal(ready[name], fresh[name]) for name in ready)


@pytest.mark.parametrize(
    ("dtype", "shape", "scales", "rejected"),
    [
        (np.int8, (196, 1280), 196, True),
        (np.int8, (196, 1280), 1, False),
        (np.int8, (24, 3, 3, 16), 24, False),
        (np.float32, (196, 1280), 0, False),
    ],
    ids=["a scale per output", "one scale", "a convolution", "float"],
)
def test_tflite_runtime_rejects_linear_layers_with_a_scale_per_output(dtype, shape, scales, rejected):
    quantization = {"scales": np.ones(scales, np.float32)}
    tensors = [{"name": "weights", "dtype": dtype, "shape": np.array(shape), "quantization_parameters": quantization}]
    expected = (
        pytest.raises(ModelFileError, match=r"wrong results.*weights: take the fp32") if rejected else nullcontext()
    )
    with expected:
        backends._check_linear_weights(Path("m.tflite"), tensors)


def test_shipped_int8_file_means_the_same_in_tflite_runtime():
    pytest.importorskip("tflite_runtime")
    crop = extract_crop(rendered_face()[..., ::-1], ROI(320.0, 240.0, 400.0), 112)
    mine, theirs = (load_backend(model_path("atpn_int8"), engine).run(crop) for engine in ("litert", "tflite"))
    # Their int8 kernels round differently.
    assert np.abs(mine["landmarks"] - theirs["landmarks"]).mean() < 0.005
    assert np.abs(mine["pose"] - theirs["pose"]).max() < 0.05


def test_outputs_are_matched_by_name_then_shape_then_number_then_position(spec):
    path = Path("m.tflite")
    assert match_outputs(path, spec, SHUFFLED) == {
        "landmarks": "o0",
        "uncertainty": "o1",
        "pose": "o2",
        "confidence": "o3",
    }
    # With three points the shapes of uncertainty and pose coincide.
    three = dataclasses.replace(spec, scheme="three", mean_shape=spec.mean_shape[::40], outputs=standard_outputs(3))
    named = [("pose", (3,)), ("confidence", (1,)), ("landmarks", (3, 2)), ("uncertainty", (3,))]
    assert match_outputs(path, three, named) == {name: name for name in three.outputs}
    numbered = [("out:3", (3,)), ("out:10", (3,)), ("out:0", (3, 2)), ("out:1", (1,))]
    with pytest.raises(ModelFileError, match="cannot tell which"):
        match_outputs(path, three, numbered)
    numbered = [("out:13", (1,)), ("out:10", (3,)), ("out:0", (3, 2)), ("out:9", (3,))]
    assert match_outputs(path, three, numbered)["uncertainty"] == "out:9"
    placed = [("a", (3, 2)), ("b", (3,)), ("c", (3,)), ("d", (1,))]
    assert match_outputs(path, three, placed) == {"landmarks": "a", "uncertainty": "b", "pose": "c", "confidence": "d"}


def test_outputs_of_later_versions_are_left_out(spec):
    path, later = Path("m.tflite"), dataclasses.replace(spec, outputs={**spec.outputs, "age": (2, 2)})
    assert match_outputs(path, later, [("o9", (2, 2)), *SHUFFLED]) == match_outputs(path, spec, SHUFFLED)
    # By position: three colors look like a pose.
    later = dataclasses.replace(spec, outputs={**spec.outputs, "colors": (3,)})
    placed = [(name, shape) for name, (_, shape) in zip("abcde", later.outputs.items(), strict=True)]
    assert list(match_outputs(path, later, placed).values()) == ["a", "b", "c", "d"]
    with pytest.raises(ModelFileError, match="its spec declares"):
        match_outputs(path, spec, placed)


def test_a_file_with_outputs_of_later_versions_runs(write_onnx, spec):
    onnx = pytest.importorskip("onnx")
    path = write_onnx(dataclasses.replace(spec, outputs={**spec.outputs, "hair_bins": (1,)}).to_json())
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("Cast", ["confidence"], ["hair_bins"], to=onnx.TensorProto.INT64))
    model.graph.output.append(onnx.helper.make_tensor_value_info("hair_bins", onnx.TensorProto.INT64, ["N", 1]))
    onnx.save(model, path)
    results = load_backend(path).run(np.full((112, 112, 3), 51, np.uint8))
    assert list(results) == ["landmarks", "uncertainty", "pose", "confidence"]
    assert results["confidence"] == pytest.approx(0.2)


def test_an_output_of_another_type_is_rejected(write_onnx, spec):
    onnx = pytest.importorskip("onnx")
    path = write_onnx()
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("Cast", ["confidence"], ["whole"], to=onnx.TensorProto.INT64))
    model.graph.output[3].CopyFrom(onnx.helper.make_tensor_value_info("whole", onnx.TensorProto.INT64, ["N", 1]))
    onnx.save(model, path)
    with pytest.raises(ModelFileError, match=r"output whole is tensor\(int64\), expected float32"):
        load_backend(path)


def test_an_output_of_free_shape_is_rejected(spec):
    with pytest.raises(ModelFileError, match="its spec declares"):
        match_outputs(Path("m.onnx"), spec, [*SHUFFLED[:3], ("o1", ("K",))])


def test_match_inputs_uses_type_and_shape(prompt_spec):
    image, plane = ((1, 112, 112, 3), "uint8"), ((1, 5, 2), "float32")
    assert match_inputs(Path("m.tflite"), prompt_spec, {4: plane, 9: image}) == (9, 4)
    assert match_inputs(Path("m.onnx"), prompt_spec, {"a": (("N", 112, 112, 3), "uint8"), "b": plane}) == ("a", "b")


@pytest.mark.parametrize(
    "inputs",
    [
        {0: ((1, 112, 112, 3), "uint8")},
        {0: ((1, 112, 112, 3), "uint8"), 1: ((1, 6, 2), "float32")},
        {0: ((1, 112, 112, 3), "float32"), 1: ((1, 5, 2), "float32")},
        {0: ((1, 112, 112, 3), "uint8"), 1: ((1, 5, 2), "float32"), 2: ((), "float32")},
        {0: ((2, 112, 112, 3), "uint8"), 1: ((1, 5, 2), "float32")},
    ],
)
def test_match_inputs_rejects_inputs_not_in_the_spec(prompt_spec, inputs):
    with pytest.raises(ModelFileError, match=r"1, 5, 2.*float32") as rejected:
        match_inputs(Path("m.tflite"), prompt_spec, inputs)
    assert "its spec declares" in str(rejected.value)


def test_outputs_of_other_shapes_are_rejected(spec):
    with pytest.raises(ModelFileError, match="its spec declares"):
        match_outputs(Path("m.onnx"), spec, [*SHUFFLED[:3], ("o1", (68,))])


def test_crop_of_another_kind_is_rejected(write_onnx):
    backend = load_backend(write_onnx())
    for crop in (np.zeros((100, 112, 3), np.uint8), np.zeros((112, 112, 3), np.float32)):
        with pytest.raises(ValueError, match=r"\(112, 112, 3\) uint8 RGB crop"):
            backend.run(crop)


def test_onnx_with_another_input_size_than_its_spec_is_rejected(write_onnx):
    with pytest.raises(ModelFileError, match=r"64, 64, 3.*its spec declares"):
        load_backend(write_onnx(size=64))


def test_tflite_with_another_input_size_than_its_spec_is_rejected(bare_tflite, spec, tmp_path):
    path = tmp_path / "wrong.tflite"
    path.write_bytes(bare_tflite.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(SPEC_FILE, spec.to_json())
    with pytest.raises(ModelFileError, match=r"16, 16, 3.*its spec declares"):
        load_backend(path)


def test_tflite_damaged_inside_is_rejected(tiny_tflite):
    pytest.importorskip("ai_edge_litert", reason="tflite-runtime checks no file: one that is damaged ends the process")
    data = bytearray(tiny_tflite.read_bytes())
    data[8:200] = b"\xff" * 192
    tiny_tflite.write_bytes(data)
    with pytest.raises(ModelFileError, match="cannot load"):
        load_backend(tiny_tflite, "litert")


def test_wrong_engine_for_the_format(write_onnx, tiny_tflite):
    with pytest.raises(BackendError, match=r"litert does not read \.onnx files.*use onnxruntime"):
        load_backend(write_onnx(), "litert")
    with pytest.raises(BackendError, match=r"onnxruntime does not read \.tflite"):
        load_backend(tiny_tflite, "onnxruntime")
    with pytest.raises(BackendError, match=r"unknown engine 'x{200}… \(5000 characters\)'; known: auto, litert"):
        load_backend(tiny_tflite, "x" * 5000)
    with pytest.raises(BackendError, match=r"unknown engine 'tensorrt'; known: auto, litert"):
        load_backend(tiny_tflite, "tensorrt")


def test_threads_must_be_positive(write_onnx):
    with pytest.raises(ValueError, match="threads must be 1 or more, got 0"):
        load_backend(write_onnx(), threads=0)


def test_engine_that_is_not_installed_names_the_package(write_onnx, tiny_tflite, monkeypatch):
    path = write_onnx()
    monkeypatch.setattr(backends, "_is_installed", lambda name: False)
    with pytest.raises(BackendError, match=r"pip install 'atpn\[onnx-runtime\]'"):
        load_backend(path)
    with pytest.raises(BackendError, match="pip install ai-edge-litert"):
        load_backend(tiny_tflite)
    with pytest.raises(BackendError, match="tflite is not installed: pip install tflite-runtime"):
        load_backend(tiny_tflite, "tflite")


def test_auto_falls_back_to_tflite_runtime(tiny_tflite, monkeypatch):
    monkeypatch.setattr(backends, "_is_installed", lambda name: name == "tflite")
    if importlib.util.find_spec("tflite_runtime"):
        check_outputs(
            load_backend(tiny_tflite).run(np.full((16, 16, 3), 51, np.uint8)), load_backend(tiny_tflite).spec, 51
        )
        return
    with pytest.raises(BackendError, match="tflite does not start here"):
        load_backend(tiny_tflite)


@pytest.mark.parametrize(
    ("engine", "int8", "name"),
    [("litert", True, "atpn_int8"), ("litert", False, "atpn_fp16"), ("tflite", True, "atpn_fp16")],
)
def test_default_model_is_the_shipped_one_that_suits_the_engine(engine, int8, name, monkeypatch, tmp_path):
    monkeypatch.setattr(backends, "int8_speeds_up", lambda: int8)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dist").mkdir()
    for file in ("atpn_fp32", "atpn_fp16", "atpn_int8", "detector_fp32"):  # not preferred: they may be of other weights
        (tmp_path / "dist" / f"{file}.tflite").touch()
    assert default_model_path(engine) == model_path(name)
    assert default_model_path(engine, detector=True) == model_path("detector_fp32")
    monkeypatch.setattr(backends, "_is_installed", lambda installed: installed == engine)
    assert default_model_path() == model_path(name)


def test_default_model_is_of_the_named_network(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "NETWORKS", {"atpn": "atpn", "small": "atpn_small"})
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    for file in ("atpn_small_fp16.tflite", "atpn_small_int8.tflite", "dist/atpn_small_fp32.onnx"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    for int8, precision in ((True, "int8"), (False, "fp16")):
        monkeypatch.setattr(backends, "int8_speeds_up", lambda int8=int8: int8)
        path = tmp_path / f"atpn_small_{precision}.tflite"
        assert default_model_path("litert", network="small") == path
    assert default_model_path("onnxruntime", network="small") == tmp_path / "dist" / "atpn_small_fp32.onnx"


def test_default_model_of_onnxruntime_is_in_dist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backends, "__file__", str(tmp_path / "package" / "backends.py"))
    for installed in ({"litert", "onnxruntime"}, {"onnxruntime"}):
        monkeypatch.setattr(backends, "_is_installed", installed.__contains__)
        with pytest.raises(
            FileNotFoundError, match=r"no dist/atpn_fp32\.onnx in .*: install LiteRT .*make export-onnx"
        ):
            default_model_path("onnxruntime")
    with pytest.raises(FileNotFoundError, match=r"no dist/detector_fp32\.onnx"):
        default_model_path(detector=True)
    (tmp_path / "dist").mkdir()
    for name in ("atpn_fp32.onnx", "detector_fp32.onnx"):
        (tmp_path / "dist" / name).touch()
    assert default_model_path() == tmp_path / "dist" / "atpn_fp32.onnx"
    assert default_model_path("onnxruntime", detector=True) == tmp_path / "dist" / "detector_fp32.onnx"


def test_default_model_without_an_engine_says_how_to_install_one(monkeypatch):
    monkeypatch.setattr(backends, "_is_installed", lambda name: False)
    with pytest.raises(BackendError, match="pip install ai-edge-litert"):
        load_backend(default_model_path())


def test_engine_problem_says_what_to_do(monkeypatch):
    monkeypatch.setattr(backends, "_is_installed", lambda name: False)
    assert backends.engine_problem("onnxruntime") == "not installed: pip install 'atpn[onnx-runtime]'"
    monkeypatch.setattr(backends, "_is_installed", lambda name: True)

    def fail(name):
        raise OSError(f"{name}: wrong libc\nmore")

    monkeypatch.setattr(backends.importlib, "import_module", fail)
    expected = "does not start here (ai_edge_litert.interpreter: wrong libc): pip install ai-edge-litert"
    assert backends.engine_problem("litert").startswith(expected)


@pytest.mark.parametrize("name", [*landmark_models(), DETECTOR_MODEL])
def test_shipped_models_run(name):
    pytest.importorskip("ai_edge_litert")
    backend = load_backend(model_path(name), "litert")
    assert isinstance(backend.spec, DetectorSpec) == (name == DETECTOR_MODEL)
    assert name.endswith(backend.spec.precision)
    size = backend.spec.input_size
    outputs = backend.run(np.full((size, size, 3), 127, np.uint8))
    assert {key: value.shape for key, value in outputs.items()} == dict(backend.spec.outputs)


def test_model_path_names_the_shipped_models_and_the_remedy(monkeypatch, tmp_path):
    assert {path.name for path in model_paths()} == {path.name for path in models.FOLDER.glob("*.tflite")}
    with pytest.raises(
        ValueError, match="no shipped model is called 'atpn_fp32', expected one of atpn_int8, atpn_fp16"
    ):
        model_path("atpn_fp32")
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    with pytest.raises(ModelFileError, match=r"the installation lacks .*atpn_int8\.tflite: reinstall the package"):
        model_path("atpn_int8")


def test_results_of_another_shape_are_refused(write_onnx, spec):
    onnx = pytest.importorskip("onnx")
    path = write_onnx()
    model = onnx.load(path)
    # The file says N x 1, and gives nothing.
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((0, 1), np.float32), "nothing"))
    confidence = next(node for node in model.graph.node if node.output[0] == "confidence")
    confidence.output[0] = "unused"
    model.graph.node.append(onnx.helper.make_node("Identity", ["nothing"], ["confidence"]))
    onnx.save(model, path)
    backend = load_backend(path)
    with pytest.raises(ModelFileError, match=r"gave outputs of shapes \{'confidence': \(0, 1\)\}, its spec declares"):
        backend.run(np.zeros((112, 112, 3), np.uint8))


@pytest.mark.parametrize("kind", ["no shape", "a sequence"])
def test_an_output_of_unknown_shape_is_rejected(write_onnx, kind):
    onnx = pytest.importorskip("onnx")
    path = write_onnx()
    model = onnx.load(path)
    if kind == "a sequence":
        model.graph.node.append(onnx.helper.make_node("SequenceConstruct", ["confidence"], ["many"]))
        element = onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
        model.graph.output[3].CopyFrom(
            onnx.helper.make_value_info("many", onnx.helper.make_sequence_type_proto(element))
        )
    else:
        model.graph.node.append(onnx.helper.make_node("Reshape", ["confidence", "flat_shape"], ["free"]))
        model.graph.input.append(onnx.helper.make_tensor_value_info("flat_shape", onnx.TensorProto.INT64, None))
        model.graph.output[3].CopyFrom(onnx.helper.make_tensor_value_info("free", onnx.TensorProto.FLOAT, None))
    onnx.save(model, path)
    with pytest.raises(ModelFileError):
        load_backend(path)
