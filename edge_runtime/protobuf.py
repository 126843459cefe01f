"""Minimal reader of protobuf's wire format: finds strings in a model file without further libraries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_FIELDS = 100_000
"""Maximum number of fields of one message that is read: bounds the time. An ONNX model has under 100."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def messages(data: memoryview, field: int) -> Iterator[memoryview]:
    """Yield a message's length-delimited fields of one number. ValueError if the data is damaged."""
    offset = count = 0
    while offset < len(data):
        count += 1
        if count > MAX_FIELDS:
            raise ValueError(f"damaged: more than {MAX_FIELDS} fields")
        key, offset = _varint(data, offset)
        number, kind = key >> 3, key & 7
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
        if kind in (_VARINT, _BYTES):
            size_or_value, offset = _varint(data, offset)
            size = size_or_value if kind == _BYTES else 0
        elif size == 0:
            raise ValueError(f"not a protobuf message, or damaged: wire type {kind} at byte {offset}")
        if offset + size > len(data):
            raise ValueError(f"truncated: {offset + size} bytes expected, {len(data)} found")
        if number == field and kind == _BYTES:
            yield data[offset : offset + size]
        offset += size


def map_value(entries: Iterable[memoryview], key: str) -> bytes | None:
    """Return the last value of a key in a protobuf map: messages of a key (field 1) and a value (field 2)."""
    found = None
    for entry in entries:
        name, value = (next(messages(entry, number), memoryview(b"")) for number in (1, 2))
        if name == key.encode():
            found = bytes(value)
    return found


def _varint(data: memoryview, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if offset >= len(data) or shift > 63:
            raise ValueError(f"truncated or damaged at byte {offset}")
        byte = data[offset]
        value |= (byte & 0x7F) << shift
        offset, shift = offset + 1, shift + 7
        if not byte & 0x80:
            return value, offset
