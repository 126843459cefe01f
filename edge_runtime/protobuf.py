"""Just enough of protobuf's wire format to find a string in a model file without the library that wrote it."""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def messages(data: memoryview, field: int) -> Iterator[memoryview]:
    """The contents of a message's length-delimited fields of that number; ValueError when the data are damaged."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, kind = key >> 3, key & 7
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
        if kind in (_VARINT, _BYTES):
            size_or_value, place = _varint(data, place)
            size = size_or_value if kind == _BYTES else 0
        elif size == 0:
            raise ValueError(f"no protobuf message, or damaged: wire type {kind} at byte {place}")
        if place + size > len(data):
            raise ValueError(f"cut short: {place + size} bytes expected, {len(data)} found")
        if number == field and kind == _BYTES:
            yield data[place : place + size]
        place += size


def string_map(entries: Iterator[memoryview]) -> dict[str, str]:
    """Messages of a key (field 1) and a value (field 2), as maps and ONNX's properties are stored."""
    found = {}
    for entry in entries:
        key, value = (next(messages(entry, number), memoryview(b"")) for number in (1, 2))
        found[bytes(key).decode()] = bytes(value).decode()
    return found


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(data) or shift > 63:
            raise ValueError(f"cut short or damaged at byte {place}")
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place
