"""Inference engines behind one call: a uint8 crop goes in, named float32 arrays come out."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from edge_runtime.errors import BackendError, ModelFileError, first_line
from edge_runtime.query_points import QueryPoints
from edge_runtime.spec import SPEC_KEY, ModelSpec, check_model_file

BackendName = Literal["auto", "litert", "tflite", "onnxruntime"]
Input = TypeVar("Input", int, str)
"""How an engine calls a file's inputs."""

_MODULES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime", "onnxruntime": "onnxruntime"}
_INSTALL = {
    "litert": "pip install ai-edge-litert (the plain `pip install atpn` has it)",
    "tflite": "pip install tflite-runtime 'numpy<2' under Python 3.11, in an environment of its own",
    "onnxruntime": "pip install 'atpn[onnx-runtime]'",
}
# Best first. LiteRT is tflite-runtime's successor and the only one of the two that still gets wheels.
_ENGINES_OF = {".tflite": ("litert", "tflite"), ".onnx": ("onnxruntime",)}


class Backend(Protocol):
    """A loaded model."""

    @property
    def spec(self) -> ModelSpec:
        """What the model takes and gives."""

    def run(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        """One (S, S, 3) uint8 RGB crop to the outputs named in the spec, float32, without the batch axis.

        ValueError for another kind of crop, TemplateError when a model with prompts was not told any yet.
        """

    def prompt(self, points: np.ndarray) -> None:
        """Tell a model with prompts which (K, 2) points of the plane to find from now on: `points` are then (K, 2).

        TemplateError for more than it takes, and for a model that takes none.
        """


def load_backend(path: Path | str, backend: str = "auto", threads: int = 1) -> Backend:
    """Load a model file with the engine named, or with the best one installed for its format (`auto`).

    FileNotFoundError or ModelFileError when the file cannot be used, BackendError when the engine cannot.
    """
    path = check_model_file(path)
    if backend != "auto" and backend not in _MODULES:
        raise BackendError(f"unknown backend {backend!r}; known: auto, {', '.join(_MODULES)}")
    if threads < 1:
        raise ValueError(f"threads must be 1 or more, got {threads}")
    engines = _ENGINES_OF.get(path.suffix)
    if engines is None:
        raise BackendError(f"{path}: no engine here runs CoreML packages; they are for apps on Apple's systems")
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


def default_model_path(backend: str = "auto", name: str = "atpn_fp32") -> Path:
    """The exported shipped weights: `dist/NAME.*` under the current directory or beside this package.

    The format follows the backend. FileNotFoundError says which command makes the file.
    """
    if backend == "onnxruntime":
        suffixes = [".onnx"]
    elif backend == "auto":
        suffixes = [s for s, engines in _ENGINES_OF.items() if any(map(_is_installed, engines))] or [".tflite"]
    else:
        suffixes = [".tflite"]
    folders = (Path.cwd(), Path(__file__).resolve().parent.parent)
    for suffix in suffixes:
        for folder in folders:
            path = folder / "dist" / f"{name}{suffix}"
            if path.is_file():
                return path
    target = "export-onnx" if suffixes[0] == ".onnx" else "export-tflite"
    raise FileNotFoundError(
        f"no model was named and there is no dist/{name}{suffixes[0]} in {folders[0]} or {folders[1]}: "
        f"run `make {target}` or name a model file"
    )


class TFLiteBackend:
    """A .tflite file in ai-edge-litert (`engine="litert"`) or tflite-runtime (`engine="tflite"`)."""

    def __init__(self, path: Path, engine: str = "litert", threads: int = 1) -> None:
        self.spec = ModelSpec.read(path)
        try:
            interpreter_class: Any = importlib.import_module(f"{_MODULES[engine]}.interpreter").Interpreter
        except Exception as error:  # a wheel built for another numpy or libc fails in its own ways
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
        self._image, self._plane = match_inputs(path, self.spec, inputs)
        self._prompts = QueryPoints(self.spec)
        outputs, details = [], {}
        for output in _signature_outputs(interpreter) or interpreter.get_output_details():
            if output["dtype"] != np.float32:
                raise ModelFileError(f"{path}: output {output['name']} is {output['dtype'].__name__}, expected float32")
            outputs.append((output["name"], tuple(int(n) for n in output["shape"][1:])))
            details[output["name"]] = output["index"]
        names = match_outputs(path, self.spec, outputs)
        self._outputs = {name: details[theirs] for name, theirs in names.items()}

    def run(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        """See `Backend.run`."""
        self._interpreter.set_tensor(self._image, checked_crop(crop, self.spec)[None])
        if self._plane is not None:
            self._interpreter.set_tensor(self._plane, self._prompts.feed())
        self._interpreter.invoke()
        outputs = {name: self._interpreter.get_tensor(index)[0] for name, index in self._outputs.items()}
        return outputs if self._plane is None else self._prompts.cut(outputs)

    def prompt(self, points: np.ndarray) -> None:
        """See `Backend.prompt`."""
        self._prompts.set(points)


class OnnxBackend:
    """An .onnx file in onnxruntime, on the CPU."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class below Exception
            raise ModelFileError(f"{path} is not an ONNX model or is damaged: {first_line(error)}") from error
        self.spec = ModelSpec.parse(session.get_modelmeta().custom_metadata_map.get(SPEC_KEY), path)
        self._session = session
        kinds = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
        inputs = {i.name: (tuple(i.shape), kinds.get(i.type, i.type)) for i in session.get_inputs()}
        self._image, self._plane = match_inputs(path, self.spec, inputs)
        self._prompts = QueryPoints(self.spec)
        for output in session.get_outputs():
            if output.type != "tensor(float)":
                raise ModelFileError(f"{path}: output {output.name} is {output.type}, expected float32")
        shapes = [(output.name, tuple(output.shape[1:])) for output in session.get_outputs()]
        self._outputs = match_outputs(path, self.spec, shapes)

    def run(self, crop: np.ndarray) -> dict[str, np.ndarray]:
        """See `Backend.run`."""
        feed = {self._image: checked_crop(crop, self.spec)[None]}
        if self._plane is not None:
            feed[self._plane] = self._prompts.feed()
        values = self._session.run(list(self._outputs.values()), feed)
        outputs = {name: value[0] for name, value in zip(self._outputs, values, strict=True)}
        return outputs if self._plane is None else self._prompts.cut(outputs)

    def prompt(self, points: np.ndarray) -> None:
        """See `Backend.prompt`."""
        self._prompts.set(points)


def match_inputs(
    path: Path, spec: ModelSpec, inputs: Mapping[Input, tuple[Sequence[int | str | None], str]]
) -> tuple[Input, Input | None]:
    """The file's image and, with prompts, its plane; `inputs` are (shape, type) by the file's own names.

    By type and shape, since converters scramble names. ModelFileError when they are not what the spec says.
    """
    expected: dict[str, tuple[tuple[int, ...], str]] = {"image": ((1, spec.input_size, spec.input_size, 3), "uint8")}
    if spec.prompts:
        expected["plane"] = ((1, spec.prompts, 2), "float32")
    found: dict[str, Input] = {}
    for key, (shape, kind) in inputs.items():
        for name, (known, known_kind) in expected.items():
            # The batch axis may be symbolic (a name) or free (None); the others may not.
            same = kind == known_kind and tuple(shape[1:]) == known[1:]
            if same and (not isinstance(shape[0], int) or shape[0] == 1):
                found[name] = key
    if found.keys() != expected.keys() or len(inputs) != len(expected):
        raise ModelFileError(f"{path} takes {list(inputs.values())}, its spec promises {list(expected.values())}")
    return found["image"], found.get("plane")


def match_outputs(path: Path, spec: ModelSpec, outputs: Sequence[tuple[str, tuple[int, ...]]]) -> dict[str, str]:
    """Our output names to the file's own, which converters scramble; `outputs` are (name, shape without batch) pairs.

    By name where the file kept ours, else by shape where each shape occurs once, else by the number in names such as
    `output_2` or `StatefulPartitionedCall:2`, else by position. ModelFileError when the shapes are not the spec's.
    """
    if sorted(shape for _, shape in outputs) != sorted(spec.outputs.values()):
        raise ModelFileError(f"{path} gives {dict(outputs)}, its spec promises {dict(spec.outputs)}")
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


def checked_crop(crop: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """The crop as it is, or a ValueError when it is not what the spec takes."""
    expected = (spec.input_size, spec.input_size, 3)
    if crop.shape != expected or crop.dtype != np.uint8:
        raise ValueError(f"the model takes a {expected} uint8 RGB crop, got {crop.shape} {crop.dtype}")
    return crop


def _check_linear_weights(path: Path, tensors: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what tflite-runtime gets wrong without a word: of a linear layer's scales it reads only the first."""
    for tensor in tensors:
        scales = tensor["quantization_parameters"]["scales"]
        if tensor["dtype"] == np.int8 and len(tensor["shape"]) == 2 and len(scales) > 1:
            raise ModelFileError(
                f"{path}: tflite-runtime gives wrong results for linear layers whose int8 weights have a scale per "
                f"output, such as {tensor['name']}: take the fp32 or fp16 file, or {_INSTALL['litert']}"
            )


def _signature_outputs(interpreter: Any) -> list[dict[str, Any]]:
    """Details of the outputs under their signature names, which survive conversion better than tensor names."""
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        return []
    runner = interpreter.get_signature_runner(next(iter(signatures)))
    return [{**details, "name": name} for name, details in runner.get_output_details().items()]


def _is_installed(backend: str) -> bool:
    return importlib.util.find_spec(_MODULES[backend]) is not None
