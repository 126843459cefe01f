"""Inference engines behind one interface: a uint8 crop in, named float32 arrays out."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from edge_runtime.errors import BackendError, ModelFileError, TemplateError, first_line, require
from edge_runtime.machine import int8_speeds_up
from edge_runtime.models import DETECTOR_MODEL, LANDMARK_MODELS, model_path
from edge_runtime.spec import SPEC_KEY, ModelSpec, check_model_file

BackendName = Literal["auto", "litert", "tflite", "onnxruntime"]
Input = TypeVar("Input", int, str)

_MODULES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime", "onnxruntime": "onnxruntime"}
_INSTALL = {
    "litert": "pip install ai-edge-litert (the plain `pip install atpn` has it)",
    "tflite": "pip install tflite-runtime 'numpy<2' under Python 3.11, in an environment of its own",
    "onnxruntime": "pip install 'atpn[onnx-runtime]'",
}
ENGINES = tuple(_MODULES)
# In order of preference. tflite-runtime is deprecated, replaced by LiteRT.
_ENGINES_OF = {".tflite": ("litert", "tflite"), ".onnx": ("onnxruntime",)}


class Backend(Protocol):
    """A loaded model."""

    @property
    def spec(self) -> ModelSpec:
        """Spec of the model."""

    def run(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        """Run the model on one (S, S, 3) uint8 RGB crop; return its outputs as float32 arrays without the batch axis.

        Raises:
            ValueError: The crop has another shape or dtype.
            TemplateError: The model needs query points and `prompt` was not called.
        """

    def prompt(self, points: np.ndarray) -> None:
        """Set the (K, 2) query points, in canonical face space, of the output `points`.

        TemplateError if K exceeds the model's limit or the model takes no query points.
        """


def load_backend(path: Path | str, backend: str = "auto", threads: int = 1) -> Backend:
    """Load a model file with the named engine, or with the best one installed for its format (`auto`).

    Raises:
        FileNotFoundError: The file does not exist.
        ModelFileError: The file cannot be used.
        BackendError: The engine is not installed or does not read the format.
    """
    path = check_model_file(path)
    if backend != "auto" and backend not in _MODULES:
        raise BackendError(f"unknown backend {backend!r}; known: auto, {', '.join(_MODULES)}")
    require(threads >= 1, f"threads must be 1 or more, got {threads}")
    engines = _ENGINES_OF.get(path.suffix)
    if engines is None:
        raise BackendError(f"{path}: CoreML packages run in apps on Apple's systems only; use a .tflite or .onnx file")
    if backend == "auto":
        installed = [name for name in engines if _is_installed(name)]
        if not installed:
            raise BackendError(f"no engine for {path.suffix} files is installed: {_INSTALL[engines[0]]}")
        backend = installed[0]
    elif backend not in engines:
        raise BackendError(f"{backend} does not read {path.suffix} files such as {path}; use {' or '.join(engines)}")
    elif not _is_installed(backend):
        raise BackendError(f"{backend} is not installed: {_INSTALL[backend]}")
    return OnnxBackend(path, threads) if backend == "onnxruntime" else TFLiteBackend(path, backend, threads)


def default_model_path(backend: str = "auto", detector: bool = False) -> Path:
    """Return the tracking network, or the face detector, that this engine runs if no file was given.

    LiteRT runs the shipped int8 network where int8 is faster than float, see `machine.int8_speeds_up`. Elsewhere, float
    takes the same time and is more accurate; tflite-runtime cannot run the int8 file. For onnxruntime no file is
    shipped: `dist/` in the current folder or beside this package must have one.

    Raises:
        FileNotFoundError: onnxruntime has no file; the message names the command that makes it.
        ModelFileError: The installation lacks the shipped file.
    """
    engine = resolve_engine(backend)
    if engine != "onnxruntime":
        int8 = engine == "litert" and int8_speeds_up()
        return model_path(DETECTOR_MODEL if detector else LANDMARK_MODELS[0 if int8 else 1])
    name = "detector_fp32.onnx" if detector else "atpn_fp32.onnx"
    folders = (Path.cwd(), Path(__file__).resolve().parent.parent)
    for folder in folders:
        if (path := folder / "dist" / name).is_file():
            return path
    raise FileNotFoundError(
        f"onnxruntime cannot run the shipped .tflite models, and there is no dist/{name} in {folders[0]} or "
        f"{folders[1]}: install LiteRT by {_INSTALL['litert']}, run `make export-onnx`, or give a model file"
    )


def engine_problem(engine: str) -> str | None:
    """Return why an engine of `ENGINES` cannot be used here, and what to do; None if it can be."""
    if not _is_installed(engine):
        return f"not installed: {_INSTALL[engine]}"
    try:
        importlib.import_module(_MODULES[engine] + ("" if engine == "onnxruntime" else ".interpreter"))
    except Exception as error:  # a wheel for another numpy or libc may raise anything
        return f"does not start here ({first_line(error)}): {_INSTALL[engine]}"
    return None


def resolve_engine(backend: str = "auto") -> str:
    """Return the engine that runs a default model: the named one, or the best one installed."""
    if backend != "auto":
        return backend
    # Without any engine, LiteRT: loading the file then says how to install it.
    return next(filter(_is_installed, _MODULES), "litert")


class _FileBackend:
    """Query points and checks of the input, common to the engines."""

    _query_input: int | str | None

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._query_points: np.ndarray | None = None
        self._query_count = 0

    def prompt(self, points: np.ndarray) -> None:
        """See `Backend.prompt`."""
        name, limit, points = self.spec.name, self.spec.prompts, np.asarray(points, np.float32)
        if not limit:
            raise TemplateError(f"model {name!r} takes no query points")
        if points.ndim != 2 or points.shape[1] != 2 or not 0 < len(points) <= limit:
            raise TemplateError(
                f"model {name!r} takes (K, 2) query points, K up to {limit}, got shape {points.shape}; "
                "export it with more --prompts, or with --template"
            )
        # The input has a fixed number of points: repeat them.
        self._query_points, self._query_count = np.resize(points, (1, limit, 2)), len(points)

    def run(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        """See `Backend.run`."""
        expected = (self.spec.input_size, self.spec.input_size, 3)
        if crop.shape != expected or crop.dtype != np.uint8:
            raise ValueError(f"the model takes a {expected} uint8 RGB crop, got {crop.shape} {crop.dtype}")
        if self._query_input is None:
            return self._infer(crop[None], None)
        if self._query_points is None:
            raise TemplateError(f"model {self.spec.name!r} needs query points: call `prompt` first")
        outputs = self._infer(crop[None], self._query_points)
        return outputs | {name: outputs[name][: self._query_count] for name in ("points", "points_uncertainty")}

    def _infer(self, image: np.ndarray, query_points: np.ndarray | None) -> dict[str, np.ndarray]:
        raise NotImplementedError


class TFLiteBackend(_FileBackend):
    """A .tflite file in ai-edge-litert (`engine="litert"`) or tflite-runtime (`engine="tflite"`)."""

    def __init__(self, path: Path, engine: str = "litert", threads: int = 1) -> None:
        super().__init__(ModelSpec.read(path))
        try:
            interpreter_class: Any = importlib.import_module(f"{_MODULES[engine]}.interpreter").Interpreter
        except Exception as error:  # a wheel for another numpy or libc may raise anything
            raise BackendError(f"{engine} does not start here ({first_line(error)}): {_INSTALL[engine]}") from error
        try:
            interpreter = interpreter_class(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
        except Exception as error:
            raise ModelFileError(f"{engine} cannot load {path}: {first_line(error)}") from error
        if engine == "tflite":
            _check_linear_weights(path, interpreter.get_tensor_details())
        self._interpreter = interpreter
        inputs = {
            detail["index"]: (tuple(int(n) for n in detail["shape"]), np.dtype(detail["dtype"]).name)
            for detail in interpreter.get_input_details()
        }
        self._image_input, self._query_input = match_inputs(path, self.spec, inputs)
        outputs, details = [], {}
        for output in _signature_outputs(interpreter) or interpreter.get_output_details():
            if output["dtype"] != np.float32:
                raise ModelFileError(f"{path}: output {output['name']} is {output['dtype'].__name__}, expected float32")
            outputs.append((output["name"], tuple(int(n) for n in output["shape"][1:])))
            details[output["name"]] = output["index"]
        names = match_outputs(path, self.spec, outputs)
        self._outputs = {name: details[theirs] for name, theirs in names.items()}

    def _infer(self, image: np.ndarray, query_points: np.ndarray | None) -> dict[str, np.ndarray]:
        self._interpreter.set_tensor(self._image_input, image)
        if query_points is not None:
            self._interpreter.set_tensor(self._query_input, query_points)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index)[0] for name, index in self._outputs.items()}


class OnnxBackend(_FileBackend):
    """An .onnx file in onnxruntime, on the CPU."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common base class
            raise ModelFileError(f"{path} is not an ONNX model or is damaged: {first_line(error)}") from error
        super().__init__(ModelSpec.parse(session.get_modelmeta().custom_metadata_map.get(SPEC_KEY), path))
        self._session = session
        kinds = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
        inputs = {i.name: (tuple(i.shape), kinds.get(i.type, i.type)) for i in session.get_inputs()}
        self._image_input, self._query_input = match_inputs(path, self.spec, inputs)
        for output in session.get_outputs():
            if output.type != "tensor(float)":
                raise ModelFileError(f"{path}: output {output.name} is {output.type}, expected float32")
        shapes = [(output.name, tuple(output.shape[1:])) for output in session.get_outputs()]
        self._outputs = match_outputs(path, self.spec, shapes)

    def _infer(self, image: np.ndarray, query_points: np.ndarray | None) -> dict[str, np.ndarray]:
        feed = {self._image_input: image}
        if self._query_input is not None and query_points is not None:
            feed[self._query_input] = query_points
        values = self._session.run(list(self._outputs.values()), feed)
        return {name: value[0] for name, value in zip(self._outputs, values, strict=True)}


def match_inputs(
    path: Path, spec: ModelSpec, inputs: Mapping[Input, tuple[Sequence[int | str | None], str]]
) -> tuple[Input, Input | None]:
    """Return the names of the file's image input and, if the spec has them, of its query points.

    `inputs` are (shape, type) by the file's own names, which converters change: they are matched by type and shape.
    ModelFileError if they do not match the spec.
    """
    expected: dict[str, tuple[tuple[int, ...], str]] = {"image": ((1, spec.input_size, spec.input_size, 3), "uint8")}
    if spec.prompts:
        expected["query points"] = ((1, spec.prompts, 2), "float32")
    found: dict[str, Input] = {}
    for key, (shape, kind) in inputs.items():
        for name, (known, known_kind) in expected.items():
            # The batch axis may be symbolic (a name) or free (None).
            same = kind == known_kind and tuple(shape[1:]) == known[1:]
            if same and (not isinstance(shape[0], int) or shape[0] == 1):
                found[name] = key
    if found.keys() != expected.keys() or len(inputs) != len(expected):
        raise ModelFileError(f"{path} takes {list(inputs.values())}, its spec declares {list(expected.values())}")
    return found["image"], found.get("query points")


def match_outputs(path: Path, spec: ModelSpec, outputs: Sequence[tuple[str, tuple[int, ...]]]) -> dict[str, str]:
    """Map the spec's output names to the file's own; `outputs` are its (name, shape without batch axis) pairs.

    Outputs are matched by name if the file has the spec's names, else by shape if all shapes differ, else by the number
    in names such as `output_2` or `StatefulPartitionedCall:2`, else by position. ModelFileError if the shapes do not
    match the spec.
    """
    if sorted(shape for _, shape in outputs) != sorted(spec.outputs.values()):
        raise ModelFileError(f"{path} gives {dict(outputs)}, its spec declares {dict(spec.outputs)}")
    shapes: Mapping[str, tuple[int, ...]] = dict(outputs)
    if all(shapes.get(name) == shape for name, shape in spec.outputs.items()):
        return {name: name for name in spec.outputs}
    if len(set(shapes.values())) == len(spec.outputs):
        by_shape = {shape: name for name, shape in outputs}
        return {name: by_shape[shape] for name, shape in spec.outputs.items()}
    numbers = [re.search(r"(\d+)$", name) for name, _ in outputs]
    order = list(outputs)
    if all(numbers):
        order = [o for _, o in sorted(zip([int(n[1]) for n in numbers if n], outputs, strict=True))]
    if [shape for _, shape in order] != list(spec.outputs.values()):
        raise ModelFileError(f"{path}: cannot tell which of {dict(outputs)} is which of {dict(spec.outputs)}")
    return {name: theirs for name, (theirs, _) in zip(spec.outputs, order, strict=True)}


def _check_linear_weights(path: Path, tensors: Sequence[Mapping[str, Any]]) -> None:
    """Reject linear layers with a scale per output: tflite-runtime silently uses the first scale for all."""
    for tensor in tensors:
        scales = tensor["quantization_parameters"]["scales"]
        if tensor["dtype"] == np.int8 and len(tensor["shape"]) == 2 and len(scales) > 1:
            raise ModelFileError(
                f"{path}: tflite-runtime gives wrong results for linear layers whose int8 weights have a scale per "
                f"output, such as {tensor['name']}: take the fp32 or fp16 file, or {_INSTALL['litert']}"
            )


def _signature_outputs(interpreter: Any) -> list[dict[str, Any]]:
    """Return details of the outputs under their signature names, which converters change less than tensor names."""
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        return []
    runner = interpreter.get_signature_runner(next(iter(signatures)))
    return [{**details, "name": name} for name, details in runner.get_output_details().items()]


def _is_installed(backend: str) -> bool:
    return importlib.util.find_spec(_MODULES[backend]) is not None
