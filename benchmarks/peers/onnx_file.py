"""ONNX files as their authors would want them timed.

Before ONNX's version 4 all weights were listed as inputs of the graph. An engine must then expect others at every run,
folds no batch norm and runs such a file at a third of its speed.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_runtime.protobuf import messages

_GRAPH, _IR_VERSION = 7, 1
"""Fields of ModelProto."""
_INITIALIZER, _INPUT = 5, 11
"""Fields of GraphProto."""
_TENSOR_NAME, _VALUE_NAME = 8, 1
_FIRST_WITH_CONSTANT_WEIGHTS = 4
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def with_constant_weights(model: bytes) -> bytes:
    """The model with no weight among the graph's inputs; ValueError when the data are damaged."""
    data = memoryview(model)
    graph = next(messages(data, _GRAPH), None)
    if graph is None:
        raise ValueError("no ONNX model: it has no graph")
    weights = {_name(tensor, _TENSOR_NAME) for tensor in messages(graph, _INITIALIZER)}
    if not weights.intersection(_name(value, _VALUE_NAME) for value in messages(graph, _INPUT)):
        return model
    kept = b"".join(
        bytes(whole)
        for number, whole, content in _fields(graph)
        if number != _INPUT or _name(content, _VALUE_NAME) not in weights
    )
    return b"".join(
        [
            _written_varint(_IR_VERSION << 3 | _VARINT) + _written_varint(_FIRST_WITH_CONSTANT_WEIGHTS),
            *(bytes(whole) for number, whole, _ in _fields(data) if number not in (_IR_VERSION, _GRAPH)),
            _written_varint(_GRAPH << 3 | _BYTES) + _written_varint(len(kept)) + kept,
        ]
    )


def _name(message: memoryview, field: int) -> bytes:
    return bytes(next(messages(message, field), memoryview(b"")))


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """(number, the field with its key, its content alone) of each field."""
    place = 0
    while place < len(message):
        start = place
        key, place = _read_varint(message, place)
        kind = key & 7
        if kind == _BYTES:
            size, place = _read_varint(message, place)
        elif kind == _VARINT:
            _, end = _read_varint(message, place)
            size = end - place
        else:
            size = {_FIXED64: 8, _FIXED32: 4}[kind]
        yield key >> 3, message[start : place + size], message[place : place + size]
        place += size


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place


def _written_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
