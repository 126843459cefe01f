"""Inference engines behind one interface: a uint8 crop in, named float32 arrays out."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from edge_runtime import models
from edge_runtime.errors import BackendError, ModelFileError, TemplateError, first_line, require
from edge_runtime.machine import int8_speeds_up
from edge_runtime.model_file import check_model_file
from edge_runtime.models import DEFAULT_NETWORK, DETECTOR_MODEL, model_path, network_files
from edge_runtime.reading import MAX_MODEL_BYTES, quote, read_bytes
from edge_runtime.spec import DetectorSpec, ModelSpec, open_model_file

EngineName = Literal["auto", "litert", "tflite", "onnxruntime"]
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
_log = logging.getLogger(__name__)


class Backend(Protocol):
    """A loaded model."""

    @property
    def spec(self) -> ModelSpec | DetectorSpec:
        """Spec of the model, which says of which kind it is."""

    def run(self, crop: np.ndarray, query_points: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Run the model on one crop.

        Args:
            crop: (S, S, 3) uint8 RGB.
            query_points: (K, 2) points to find, in canonical face space, for a model with query points.

        Returns:
            The outputs as float32 arrays without the batch axis. The caller may change them.

        Outputs that this version does not know (`spec.known_outputs`) are left out.

        Raises:
            ValueError: The crop has another shape or dtype.
            TemplateError: The model needs query points, takes none, or takes fewer.
        """


def load_backend(path: Path | str, engine: str = "auto", threads: int = 1) -> Backend:
    """Load a model file with the named engine, or with the best one installed for its format (`auto`).

    Trackers may share the result, in several threads, too: runs wait for each other. The file is checked by the
    checksum in its spec before an engine sees it. If it has none, as of an earlier version, a warning says so.

    Raises:
        FileNotFoundError: The file does not exist.
        ModelFileError: The file is damaged or cannot be used.
        BackendError: The engine is not installed or does not read the format.
    """
    path = check_model_file(path)
    if engine != "auto" and engine not in _MODULES:
        raise BackendError(f"unknown engine {quote(engine)!r}; known: auto, {', '.join(_MODULES)}")
    require(threads >= 1, f"threads must be 1 or more, got {threads}")
    engines = _ENGINES_OF.get(path.suffix)
    if engines is None:
        raise BackendError(f"{path}: CoreML packages run in apps on Apple's systems only; use a .tflite or .onnx file")
    if engine == "auto":
        engine = _best_engine(path.suffix)
    elif engine not in engines:
        raise BackendError(f"{engine} does not read {path.suffix} files such as {path}; use {' or '.join(engines)}")
    elif not _is_installed(engine):
        raise BackendError(f"{engine} is not installed: {_INSTALL[engine]}")
    backend = OnnxBackend(path, threads) if engine == "onnxruntime" else TFLiteBackend(path, engine, threads)
    if not backend.spec.content_sha256:
        warn_unchecked(path, "export it again to have one")
    return backend


def warn_unchecked(path: Path, advice: str) -> None:
    """Log that a model file has no checksum."""
    _log.warning("%s is unchecked, as it has no checksum: a damaged file may give wrong results; %s", path, advice)


def default_model_path(engine: str = "auto", detector: bool = False, network: str = DEFAULT_NETWORK) -> Path:
    """Return the file of a shipped tracking network, or of the face detector, that this engine runs if none was given.

    LiteRT runs the shipped int8 network where int8 is faster than float, see `machine.int8_speeds_up`. Elsewhere, float
    takes the same time and is more accurate. tflite-runtime's int8 is slower than its float: ten times on x86. For
    onnxruntime no file is shipped: `dist/` in the current folder or beside this package must have one.

    Raises:
        FileNotFoundError: onnxruntime has no file; the message names the command that makes it.
        ModelFileError: The installation lacks the shipped file.
    """
    engine = resolve_engine(engine)
    if engine != "onnxruntime":
        int8 = engine == "litert" and int8_speeds_up()
        files = network_files(network)
        return model_path(DETECTOR_MODEL if detector else files.int8 if int8 else files.accurate)
    name = "detector_fp32.onnx" if detector else f"{models.NETWORKS[network]}_fp32.onnx"
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


def resolve_engine(engine: str = "auto") -> str:
    """Return the engine that runs a default model: the named one, or the best one installed."""
    if engine != "auto":
        return engine
    # Without any engine, LiteRT: loading the file then says how to install it.
    return next(filter(_is_installed, _MODULES), "litert")


class _FileBackend:
    """Checks of the inputs, common to the engines. One run at a time, whatever the number of threads that call."""

    _query_input: int | str | None

    def __init__(self, spec: ModelSpec | DetectorSpec) -> None:
        self.spec = spec
        self._crop_shape = (spec.input_size, spec.input_size, 3)
        self._shapes = {name: (1, *shape) for name, shape in spec.outputs.items()}
        self._running = threading.Lock()

    def run(self, crop: np.ndarray, query_points: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """See `Backend.run`."""
        if crop.shape != self._crop_shape or crop.dtype != np.uint8:
            raise ValueError(f"the model takes a {self._crop_shape} uint8 RGB crop, got {crop.shape} {crop.dtype}")
        query, count = self._query(query_points)
        with self._running:
            batches = self._infer(crop[None], query)
        if wrong := {name: batch.shape for name, batch in batches.items() if batch.shape != self._shapes[name]}:
            declared = {name: self._shapes[name] for name in wrong}
            raise ModelFileError(
                f"model {self.spec.name!r} gave outputs of shapes {wrong}, its spec declares {declared}"
            )
        outputs = {name: batch[0] for name, batch in batches.items()}
        if query is not None:
            outputs |= {name: outputs[name][:count] for name in ("points", "points_uncertainty")}
        return outputs

    def _query(self, points: np.ndarray | None) -> tuple[np.ndarray | None, int]:
        """Return the (1, limit, 2) query input, and how many of its points are meant."""
        name, limit = self.spec.name, _prompts(self.spec)
        if points is None:
            if self._query_input is not None:
                raise TemplateError(f"model {name!r} needs query points: give (K, 2) points, K up to {limit}")
            return None, 0
        if not limit:
            raise TemplateError(f"model {name!r} takes no query points")
        points = np.asarray(points, np.float32)
        if points.ndim != 2 or points.shape[1] != 2 or not 0 < len(points) <= limit:
            raise TemplateError(
                f"model {name!r} takes (K, 2) query points, K up to {limit}, got shape {points.shape}; "
                "export it with more --prompts, or with --template"
            )
        # The input has a fixed number of points: repeat them.
        return np.resize(points, (1, limit, 2)), len(points)

    def _infer(self, image: np.ndarray, query_points: np.ndarray | None) -> dict[str, np.ndarray]:
        """Return the outputs with the batch axis; they belong to the caller."""
        raise NotImplementedError


def _best_engine(suffix: str) -> str:
    engines = _ENGINES_OF[suffix]
    installed = [name for name in engines if _is_installed(name)]
    if not installed:
        raise BackendError(f"no engine for {suffix} files is installed: {_INSTALL[engines[0]]}")
    return installed[0]


class TFLiteBackend(_FileBackend):
    """A .tflite file in ai-edge-litert (`engine="litert"`) or tflite-runtime (`engine="tflite"`)."""

    def __init__(self, path: Path, engine: str = "litert", threads: int = 1) -> None:
        spec, file = open_model_file(path)
        super().__init__(spec)
        interpreter = _load_interpreter(path, file.content, engine, threads)
        if engine == "tflite":
            _check_linear_weights(path, interpreter.get_tensor_details())
        self._interpreter = interpreter
        inputs = {
            detail["index"]: (tuple(int(n) for n in detail["shape"]), np.dtype(detail["dtype"]).name)
            for detail in interpreter.get_input_details()
        }
        self._image_input, self._query_input = match_inputs(path, self.spec, inputs)
        outputs = _signature_outputs(interpreter) or interpreter.get_output_details()
        details = {detail["name"]: detail for detail in outputs}
        shapes = [(name, tuple(int(n) for n in detail["shape"][1:])) for name, detail in details.items()]
        names = match_outputs(path, self.spec, shapes)
        _check_output_types(path, {theirs: np.dtype(details[theirs]["dtype"]).name for theirs in names.values()})
        self._outputs = {name: details[theirs]["index"] for name, theirs in names.items()}

    def _infer(self, image: np.ndarray, query_points: np.ndarray | None) -> dict[str, np.ndarray]:
        self._interpreter.set_tensor(self._image_input, image)
        if query_points is not None:
            self._interpreter.set_tensor(self._query_input, query_points)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index) for name, index in self._outputs.items()}


def open_interpreter(path: Path) -> Any:
    """Return the interpreter of a .tflite file without a spec, in the best engine installed, its tensors allocated.

    Raises:
        ModelFileError: The file cannot be loaded.
        BackendError: No engine for .tflite files is installed.
    """
    content = read_bytes(path, MAX_MODEL_BYTES, ModelFileError)
    interpreter = _load_interpreter(path, content, _best_engine(".tflite"), 1)
    warn_unchecked(path, "compare it with its origin")
    return interpreter


def _load_interpreter(path: Path, content: bytes, engine: str, threads: int) -> Any:
    """Load the content of `path`: what was checked, whatever becomes of the file."""
    try:
        interpreter_class: Any = importlib.import_module(f"{_MODULES[engine]}.interpreter").Interpreter
    except Exception as error:  # a wheel for another numpy or libc may raise anything
        raise BackendError(f"{engine} does not start here ({first_line(error)}): {_INSTALL[engine]}") from error
    try:
        interpreter = interpreter_class(model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
    except Exception as error:
        raise ModelFileError(f"{engine} cannot load {path}: {first_line(error)}") from error
    return interpreter


class OnnxBackend(_FileBackend):
    """An .onnx file in onnxruntime, on the CPU."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        import onnxruntime

        spec, file = open_model_file(path)
        super().__init__(spec)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(file.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common base class
            raise ModelFileError(f"{path} is not an ONNX model or is damaged: {first_line(error)}") from error
        self._session = session
        inputs = {i.name: (tuple(i.shape), _onnx_type(i)) for i in session.get_inputs()}
        self._image_input, self._query_input = match_inputs(path, self.spec, inputs)
        outputs = {output.name: output for output in session.get_outputs()}
        shapes = [(name, tuple(output.shape[1:])) for name, output in outputs.items()]
        self._outputs = match_outputs(path, self.spec, shapes)
        _check_output_types(path, {theirs: _onnx_type(outputs[theirs]) for theirs in self._outputs.values()})

    def _infer(self, image: np.ndarray, query_points: np.ndarray | None) -> dict[str, np.ndarray]:
        feed = {self._image_input: image}
        if self._query_input is not None and query_points is not None:
            feed[self._query_input] = query_points
        values = self._session.run(list(self._outputs.values()), feed)
        return dict(zip(self._outputs, values, strict=True))


def match_inputs(
    path: Path, spec: ModelSpec | DetectorSpec, inputs: Mapping[Input, tuple[Sequence[int | str | None], str]]
) -> tuple[Input, Input | None]:
    """Return the names of the file's image input and, if the spec has them, of its query points.

    `inputs` are (shape, type) by the file's own names, which converters change: they are matched by type and shape.
    ModelFileError if they do not match the spec.
    """
    expected: dict[str, tuple[tuple[int, ...], str]] = {"image": ((1, spec.input_size, spec.input_size, 3), "uint8")}
    if prompts := _prompts(spec):
        expected["query points"] = ((1, prompts, 2), "float32")
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


def match_outputs(
    path: Path, spec: ModelSpec | DetectorSpec, outputs: Sequence[tuple[str, tuple[int, ...]]]
) -> dict[str, str]:
    """Map the spec's known outputs to the file's own; `outputs` are its (name, shape without batch axis) pairs.

    Outputs are matched by name if the file has the spec's names, else by shape if all shapes differ, else by the number
    in names such as `output_2` or `StatefulPartitionedCall:2`, else by position. ModelFileError if the shapes do not
    match the spec.
    """
    if Counter(shape for _, shape in outputs) != Counter(spec.outputs.values()):
        raise ModelFileError(f"{path} gives {dict(outputs)}, its spec declares {dict(spec.outputs)}")
    shapes: Mapping[str, tuple[int, ...]] = dict(outputs)
    if all(shapes.get(name) == shape for name, shape in spec.outputs.items()):
        return {name: name for name in spec.known_outputs}
    if len(set(shapes.values())) == len(spec.outputs):
        by_shape = {shape: name for name, shape in outputs}
        return {name: by_shape[spec.outputs[name]] for name in spec.known_outputs}
    numbers = [re.search(r"(\d+)$", name) for name, _ in outputs]
    order = list(outputs)
    if all(numbers):
        order = [o for _, o in sorted(zip([int(n[1]) for n in numbers if n], outputs, strict=True))]
    if [shape for _, shape in order] != list(spec.outputs.values()):
        raise ModelFileError(f"{path}: cannot tell which of {dict(outputs)} is which of {dict(spec.outputs)}")
    # The known outputs come first.
    return {name: theirs for name, (theirs, _) in zip(spec.known_outputs, order, strict=False)}


def _check_output_types(path: Path, types: Mapping[str, str]) -> None:
    for name, kind in types.items():
        if kind != "float32":
            raise ModelFileError(f"{path}: output {name} is {kind}, expected float32")


def _onnx_type(value: Any) -> str:
    """Return the type of an ONNX input or output by numpy's name, where it has one of ours."""
    return {"tensor(uint8)": "uint8", "tensor(float)": "float32"}.get(value.type, str(value.type))


def _prompts(spec: ModelSpec | DetectorSpec) -> int:
    """Return the number of query points that a model takes."""
    return spec.prompts if isinstance(spec, ModelSpec) else 0


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


def _is_installed(engine: str) -> bool:
    return importlib.util.find_spec(_MODULES[engine]) is not None
