"""The wire-format reader, against messages encoded by hand as protobuf's specification describes."""

from __future__ import annotations

import pytest

from edge_runtime.protobuf import MAX_FIELDS, map_value, messages


def _field(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def test_fields_of_other_numbers_and_types_are_passed_over():
    # varint 300 in field 1, fixed32 in field 2, fixed64 in field 3, and field 4 twice
    data = b"\x08\xac\x02" + b"\x15abcd" + b"\x19abcdefgh" + _field(4, b"one") + _field(5, b"no") + _field(4, b"")
    assert [bytes(found) for found in messages(memoryview(data), 4)] == [b"one", b""]


def test_field_numbers_above_fifteen_take_two_bytes():
    data = bytes([(100 << 3 | 2) & 0x7F | 0x80, (100 << 3 | 2) >> 7, 2]) + b"hi"
    assert [bytes(found) for found in messages(memoryview(data), 100)] == [b"hi"]


def test_values_of_maps():
    entries = [_field(1, b"key") + _field(2, "gr\u00fcn".encode()), _field(1, b"empty")]
    for key, value in (("key", "gr\u00fcn".encode()), ("empty", b""), ("absent", None)):
        assert map_value(map(memoryview, entries), key) == value
    assert map_value(map(memoryview, [_field(1, b"key"), *entries, _field(1, b"key") + _field(2, b"2")]), "key") == b"2"


def test_messages_of_countless_fields_are_rejected():
    with pytest.raises(ValueError, match="more than 100000 fields"):
        list(messages(memoryview(b"\x08\x00" * (MAX_FIELDS + 1)), 1))


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05abc", b"\x0b", b"\x80" * 12])
def test_damaged_messages_are_rejected(data):
    with pytest.raises(ValueError, match=r"damaged|truncated"):
        list(messages(memoryview(data), 1))
