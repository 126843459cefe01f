"""Width and height that an image file declares, without decoding it."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the segment with the size."""
_JPEG_BARE = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))
"""Markers without a segment."""
_JPEG_ENDS = frozenset((0xD9, 0xDA))
"""Markers behind which there is no size: the end, and the pixels."""
_MAX_SEGMENTS, _MAX_PADDING = 10_000, 65_536
"""Limits of what precedes the size in a JPEG: number of segments, and bytes between two of them."""
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q", 17: "q"}
"""Whole numbers, as the `struct` module names them."""


def declared_size(content: bytes | memoryview) -> tuple[int, int] | None:
    """Return the width and height in the header of a PNG, JPEG, BMP, GIF, WebP, TIFF, PNM, or Radiance image, pixels.

    None for another format, or if the header is cut or damaged.
    """
    head = bytes(content[:12])
    for signature, parse in _PARSERS.items():
        if re.match(signature, head, re.DOTALL):
            try:
                return parse(content)
            except (struct.error, IndexError):  # beyond the end
                return None
    return None


def _png(content: bytes | memoryview) -> tuple[int, int] | None:
    kind, width, height = struct.unpack_from(">4s2I", content, 12)
    return (width, height) if kind == b"IHDR" else None


def _jpeg(content: bytes | memoryview) -> tuple[int, int] | None:
    at = 2
    for _ in range(_MAX_SEGMENTS):
        padding = bytes(content[at : at + _MAX_PADDING]).find(b"\xff")  # decoders skip what is between segments
        if padding < 0:
            return None
        at += padding
        while content[at] == 0xFF:
            at += 1
        marker = content[at]
        at += 1
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">2H", content, at + 3)
            return width, height
        if marker in _JPEG_ENDS:
            return None
        if marker not in _JPEG_BARE:
            (length,) = struct.unpack_from(">H", content, at)
            at += length
    return None


def _bmp(content: bytes | memoryview) -> tuple[int, int] | None:
    (header,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<2H" if header == 12 else "<2i", content, 18)
    return abs(width), abs(height)  # negative: from the top down


def _gif(content: bytes | memoryview) -> tuple[int, int] | None:
    width, height = struct.unpack_from("<2H", content, 6)
    return width, height


def _webp(content: bytes | memoryview) -> tuple[int, int] | None:
    kind = bytes(content[12:16])
    if kind == b"VP8X":
        sides = [int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27)]
        return (sides[0], sides[1]) if len(content) >= 30 else None
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<2H", content, 26)
    return (width & 0x3FFF, height & 0x3FFF) if kind == b"VP8 " else None


def _tiff(content: bytes | memoryview) -> tuple[int, int] | None:
    order = "<" if content[0] == ord("I") else ">"
    big = 43 in (content[2], content[3])
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), content, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), content, at)
    at, step = at + (8 if big else 2), 20 if big else 12
    sides: dict[int, int] = {}
    for entry in range(at, at + step * min(count, 4096), step):
        tag, kind = struct.unpack_from(order + "2H", content, entry)
        if tag in (256, 257) and kind in _TIFF_TYPES:
            (side,) = struct.unpack_from(order + _TIFF_TYPES[kind], content, entry + (12 if big else 8))
            sides[tag] = max(side, sides.get(tag, 0))
    return (sides[256], sides[257]) if len(sides) == 2 else None


def _pnm(content: bytes | memoryview) -> tuple[int, int] | None:
    found = re.match(rb"P\d(?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})\s", bytes(content[:4096]))
    return (int(found[1]), int(found[2])) if found else None


def _radiance(content: bytes | memoryview) -> tuple[int, int] | None:
    found = re.search(rb"\n-Y (\d{1,9}) \+X (\d{1,9})\n", bytes(content[:4096]))
    return (int(found[2]), int(found[1])) if found else None


_PARSERS: dict[bytes, Callable[[bytes | memoryview], tuple[int, int] | None]] = {
    rb"\x89PNG\r\n\x1a\n": _png,
    rb"\xff\xd8\xff": _jpeg,
    rb"BM": _bmp,
    rb"GIF8[79]a": _gif,
    rb"RIFF....WEBP": _webp,
    rb"II[*+]\0|MM\0[*+]": _tiff,
    rb"P[1-6][\s#]": _pnm,
    rb"#\?R": _radiance,
}
