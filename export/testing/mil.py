"""Run a saved CoreML ML Program without CoreML: an interpreter of the MIL operators that our networks use.

CoreML runs on Apple's systems only. This reads a saved .mlpackage as a phone would, its protobuf and its weight file,
and evaluates the program in float32 with every result rounded to the type that the program declares. It proves that
the package holds the right program and weights. It does not prove what Apple's compiler makes of them, nor the
order in which a Neural Engine adds float16 numbers.

Semantics are those of the MIL operator set's documentation; none of the converter's own evaluation code is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from export.errors import ExportError, requires

_BLOB_MARK = 0xDEADBEEF
_FIELDS = {"FLOAT32": "floats", "INT32": "ints", "BOOL": "bools", "STRING": "strings"}
_DTYPES = {
    "FLOAT16": np.float16,
    "FLOAT32": np.float32,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "BOOL": np.bool_,
}

Value = Any
"""A tensor, or a constant: number, string, array, list of them."""


@dataclass(frozen=True)
class _Literal:
    """A constant written into an operator's argument."""

    value: Value


@dataclass(frozen=True)
class _Step:
    """One operator, ready to run."""

    operator: Callable[[Mapping[str, Value]], Tensor]
    output: str
    half: bool
    attributes: Mapping[str, Value]
    bindings: Mapping[str, list[str | _Literal]]

    def arguments(self, known: Mapping[str, Value]) -> dict[str, Value]:
        """Return attributes and inputs by name; several bindings of one input as a list."""
        arguments = dict(self.attributes)
        for key, bindings in self.bindings.items():
            values = [binding.value if isinstance(binding, _Literal) else known[binding] for binding in bindings]
            arguments[key] = values[0] if len(values) == 1 else values
        return arguments


class MILProgram:
    """The main function of a saved ML Program."""

    def __init__(self, package: Path) -> None:
        """Read a .mlpackage folder.

        ExportError when it is damaged or uses an unknown operator, or coremltools is not installed.
        """
        with requires("coreml"):
            from coremltools.proto import MIL_pb2, Model_pb2
        data = package / "Data" / "com.apple.CoreML"
        model = Model_pb2.Model()
        try:
            model.ParseFromString((data / "model.mlmodel").read_bytes())
            weights = data / "weights" / "weight.bin"
            self._weights = weights.read_bytes() if weights.is_file() else b""
        except Exception as error:  # protobuf's DecodeError has another base class in each of its implementations
            raise ExportError(f"{package} is not a CoreML package or is damaged: {error}") from error
        function = model.mlProgram.functions.get("main")
        if function is None:
            raise ExportError(f"{package} holds no ML Program with a function main: export it again")
        self.metadata = dict(model.description.metadata.userDefined)
        self.inputs = [feature.name for feature in model.description.input]
        self.image_size = model.description.input[0].type.imageType.width
        self._type_names = {number: name for name, number in MIL_pb2.DataType.items()}
        self._block = function.block_specializations[function.opset]
        self.outputs = list(self._block.outputs)
        self._constants: dict[str, Value] = {}
        self._steps: list[_Step] = []
        for op in self._block.operations:
            self._prepare(op)

    def count_operators(self) -> dict[str, int]:
        """Return the number of uses of each operator, most frequent first; constants are left out."""
        counts = Counter(op.type for op in self._block.operations if not op.type.startswith("const"))
        return dict(counts.most_common())

    @torch.no_grad()
    def run(self, crop: np.ndarray, plane: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return the outputs, float32 without batch axis, for an (S, S, 3) uint8 RGB crop and (M, 2) query points."""
        image = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)[None])).float()
        known = {**self._constants, self.inputs[0]: image}
        if plane is not None:
            known[self.inputs[1]] = torch.from_numpy(plane[None])
        for step in self._steps:
            result = step.operator(step.arguments(known))
            known[step.output] = result.half().float() if step.half else result
        return {name: known[name][0].float().numpy() for name in self.outputs}

    def _prepare(self, op: Any) -> None:
        """Evaluate a constant operator now, remember any other for later."""
        attributes = {key: self._constant(value) for key, value in op.attributes.items() if key != "name"}
        name = op.outputs[0].name
        if op.type == "const":
            self._constants[name] = attributes["val"]
            return
        operator = _OPERATORS.get(op.type)
        if operator is None or len(op.outputs) > 1:
            raise ExportError(
                f"the program uses {op.type}, which the interpreter in export/testing/mil.py does not know"
            )
        # What is declared as float16 is stored as float16.
        half = self._type_names[op.outputs[0].type.tensorType.dataType] == "FLOAT16"
        bindings = {
            key: [
                binding.name if binding.WhichOneof("binding") == "name" else _Literal(self._constant(binding.value))
                for binding in argument.arguments
            ]
            for key, argument in op.inputs.items()
        }
        step = _Step(operator, name, half, attributes, bindings)
        if op.type.startswith("constexpr"):
            result = operator(step.arguments(self._constants))
            self._constants[name] = result.half().float() if half else result
        else:
            self._steps.append(step)

    def _constant(self, value: Any) -> Value:
        kind = value.type.tensorType
        type_name = self._type_names[kind.dataType]
        shape = [int(dimension.constant.size) for dimension in kind.dimensions]
        if value.WhichOneof("value") == "blobFileValue":
            return _tensor(self._blob(int(value.blobFileValue.offset)).view(_DTYPES[type_name]), shape)
        tensor = value.immediateValue.tensor
        if type_name in _FIELDS:
            numbers = list(getattr(tensor, _FIELDS[type_name]).values)
            if type_name == "STRING":
                return numbers[0]
            return _tensor(np.array(numbers, _DTYPES[type_name]), shape) if shape else numbers[0]
        if type_name not in _DTYPES:
            raise ExportError(f"the program holds a constant of type {type_name}, which the interpreter does not know")
        array: np.ndarray = np.frombuffer(tensor.bytes.values, _DTYPES[type_name])
        return _tensor(array, shape) if shape else float(array[0])

    def _blob(self, position: int) -> np.ndarray:
        """Return the bytes of an entry of the weight file, by the position of its 64-byte header."""
        end = len(self._weights)
        if position + 24 <= end and np.frombuffer(self._weights, np.uint32, 1, position)[0] == _BLOB_MARK:
            size, offset = (int(n) for n in np.frombuffer(self._weights, np.uint64, 2, position + 8))
            if offset + size <= end:
                return np.frombuffer(self._weights, np.uint8, size, offset)
        raise ExportError(f"the weight file has no entry at {position}: it is damaged, export it again")


def _tensor(array: np.ndarray, shape: list[int]) -> Tensor:
    count = int(np.prod(shape))
    wide = array[:count].astype(np.float32 if array.dtype.kind == "f" else np.int64)
    return torch.from_numpy(wide.reshape(shape))


def _ints(value: Value) -> list[int]:
    return [int(n) for n in value] if isinstance(value, Tensor | list) else [int(value)]


def _padding(a: Mapping[str, Value]) -> list[int]:
    """Return padding rows before and after, padding columns before and after."""
    kind = a["pad_type"]
    if kind == "valid":
        return [0, 0, 0, 0]
    if kind != "custom":
        raise ExportError(f"the program pads a convolution by {kind!r}, which the interpreter does not know")
    return _ints(a["pad"])


def _conv(a: Mapping[str, Value]) -> Tensor:
    top, bottom, left, right = _padding(a)
    padded = F.pad(a["x"], (left, right, top, bottom))
    return F.conv2d(padded, a["weight"], a.get("bias"), _ints(a["strides"]), 0, _ints(a["dilations"]), int(a["groups"]))


def _conv_transpose(a: Mapping[str, Value]) -> Tensor:
    top, bottom, left, right = _padding(a)
    full = F.conv_transpose2d(
        a["x"], a["weight"], a.get("bias"), _ints(a["strides"]), 0, 0, int(a["groups"]), _ints(a["dilations"])
    )
    result = full[:, :, top : full.shape[2] - bottom, left : full.shape[3] - right]
    declared = _ints(a["output_shape"]) if "output_shape" in a else list(result.shape)
    if list(result.shape) != declared:
        raise ExportError(f"a transposed convolution gives {list(result.shape)}, the program declares {declared}")
    return result


def _slice(a: Mapping[str, Value]) -> Tensor:
    x: Tensor = a["x"]
    begin, end = _ints(a["begin"]), _ints(a["end"])
    stride = _ints(a["stride"]) if "stride" in a else [1] * x.ndim
    masks = [
        [bool(v) for v in a[key]] if key in a else [False] * x.ndim
        for key in ("begin_mask", "end_mask", "squeeze_mask")
    ]
    index: list[slice | int] = []
    for axis in range(x.ndim):
        from_start, to_end, squeeze = (mask[axis] for mask in masks)
        if squeeze:
            index.append(begin[axis])
        else:
            index.append(slice(None if from_start else begin[axis], None if to_end else end[axis], stride[axis]))
    return x[tuple(index)]


def _reshape(a: Mapping[str, Value]) -> Tensor:
    x: Tensor = a["x"]
    shape = [x.shape[i] if n == 0 else n for i, n in enumerate(_ints(a["shape"]))]  # 0 keeps the dimension
    return x.reshape(shape)


def _expand_dims(a: Mapping[str, Value]) -> Tensor:
    x: Tensor = a["x"]
    axes = _ints(a["axes"])
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _matmul(a: Mapping[str, Value]) -> Tensor:
    x, y = (a[name].mT if a.get(f"transpose_{name}", False) else a[name] for name in ("x", "y"))
    return torch.matmul(x, y)


def _affine_dequantize(a: Mapping[str, Value]) -> Tensor:
    quantized: Tensor = a["quantized_data"]
    shape = [1] * quantized.ndim

    def along(value: Value) -> Value:
        if not isinstance(value, Tensor):
            return value
        return value.float().reshape(*shape[: int(a["axis"])], -1, *shape[int(a["axis"]) + 1 :])

    result: Tensor = (quantized.float() - along(a["zero_point"])) * along(a["scale"])
    return result


def _reduced(function: Callable[..., Tensor]) -> Callable[[Mapping[str, Value]], Tensor]:
    return lambda a: function(a["x"], dim=_ints(a["axes"]), keepdim=bool(a["keep_dims"]))


_OPERATORS: Mapping[str, Callable[[Mapping[str, Value]], Tensor]] = {
    "abs": lambda a: a["x"].abs(),
    "add": lambda a: a["x"] + a["y"],
    "cast": lambda a: a["x"],  # the declared type of the result does the rounding
    "concat": lambda a: torch.cat(a["values"], dim=int(a["axis"])),
    "constexpr_affine_dequantize": _affine_dequantize,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "cos": lambda a: a["x"].cos(),
    "exp": lambda a: a["x"].exp(),
    "expand_dims": _expand_dims,
    "linear": lambda a: F.linear(a["x"], a["weight"], a.get("bias")),
    "matmul": _matmul,
    "mul": lambda a: a["x"] * a["y"],
    "reduce_mean": _reduced(torch.mean),
    "reduce_min": _reduced(torch.amin),
    "reduce_sum": _reduced(torch.sum),
    "relu": lambda a: a["x"].clamp(min=0),
    "relu6": lambda a: a["x"].clamp(0, 6),
    "reshape": _reshape,
    "rsqrt": lambda a: (a["x"] + a.get("epsilon", 1e-12)).rsqrt(),
    "sigmoid_hard": lambda a: (a["alpha"] * a["x"] + a["beta"]).clamp(0, 1),
    "sigmoid": lambda a: a["x"].sigmoid(),
    "silu": lambda a: F.silu(a["x"]),
    "sin": lambda a: a["x"].sin(),
    "slice_by_index": _slice,
    "softmax": lambda a: a["x"].softmax(dim=int(a["axis"])),
    "sqrt": lambda a: a["x"].sqrt(),
    "sub": lambda a: a["x"] - a["y"],
    "tanh": lambda a: a["x"].tanh(),
    "thresholded_relu": lambda a: torch.where(a["x"] >= a["alpha"], a["x"], torch.zeros_like(a["x"])),
}
