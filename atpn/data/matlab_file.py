"""Arrays of numbers from MATLAB files of version 5 (.mat) that nobody has checked.

Only real matrices of numbers are read. Sizes that a file declares are compared with what it holds; the usual library
trusts them and may crash.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edge_runtime.reading import quote, read_bytes

MAX_BYTES = 2**26
"""Maximum size of a file, and of a compressed array; those of our datasets have some kilobytes."""
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""NumPy's names of the types of elements."""
_NUMBERS = range(6, 16)
"""Classes of matrices of numbers: double, single, and whole numbers of 8 to 64 bits."""
_COMPLEX = 0x0800


class MatlabFileError(ValueError):
    """A file is damaged, not one of MATLAB's version 5, or lacks an array. The message names the file."""


def load_matrices(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the named arrays, each float64 of the shape in the file.

    Raises:
        OSError: The file cannot be read.
        MatlabFileError: It is not a regular file, is damaged, or lacks an array of numbers of one of these names.
    """
    content = read_bytes(path, MAX_BYTES, MatlabFileError)
    try:
        found = dict(_matrices(content, names))
    except (struct.error, zlib.error, IndexError, ValueError) as error:
        raise MatlabFileError(f"{path} is not a MATLAB 5 file, or is damaged ({quote(error)})") from error
    if missing := [name for name in names if name not in found]:
        raise MatlabFileError(f"{path} lacks arrays of numbers named {', '.join(missing)}")
    return found


def _matrices(content: bytes, names: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and values of the named matrices. Raises one of the errors of a damaged file."""
    orders = {b"IM": "<", b"MI": ">"}
    order = orders.get(content[_HEADER - 2 : _HEADER])
    if order is None:
        raise ValueError("it has no header")
    for kind, body in _elements(content[_HEADER:], order):
        if kind == _COMPRESSED:
            unpacking = zlib.decompressobj()
            unpacked = unpacking.decompress(body, MAX_BYTES)
            if not unpacking.eof:
                raise ValueError(f"a compressed array is cut, or has more than {MAX_BYTES} bytes")
            kind, body = next(_elements(unpacked, order), (0, b""))
        if kind == _MATRIX:
            parts = list(_elements(body, order))
            name = parts[2][1].decode("latin-1")
            if name in names:
                yield name, _matrix(parts, order)


def _matrix(parts: Sequence[tuple[int, bytes]], order: str) -> np.ndarray:
    """Return the values of a matrix by its parts: flags, sides, name, numbers."""
    (_, flags), (_, sides), _, (kind, numbers) = parts[:4]
    (described,) = struct.unpack_from(f"{order}I", flags)
    if described & 0xFF not in _NUMBERS or described & _COMPLEX or kind not in _TYPES:
        raise ValueError("a matrix is not of real numbers")
    shape = struct.unpack(f"{order}{len(sides) // 4}i", sides)
    values = np.frombuffer(numbers, order + _TYPES[kind])
    if min(shape, default=-1) < 0 or math.prod(shape) != len(values):
        raise ValueError(f"a matrix of {len(values)} numbers has the shape {shape}")
    return values.astype(np.float64).reshape(shape, order="F")


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield types and bodies. ValueError if one ends early."""
    at = 0
    while at < len(content):
        kind, length = struct.unpack_from(f"{order}2I", content, at)
        start = at + 8
        if small := kind >> 16:  # type, size, and body in eight bytes
            kind, length, start = kind & 0xFFFF, small, at + 4
            if length > 4:
                raise ValueError("a small element has more than 4 bytes")
        if start + length > len(content):
            raise ValueError("an element ends early")
        yield kind, content[start : start + length]
        # Compressed elements are not aligned.
        at = at + 8 if small else start + length + (0 if kind == _COMPRESSED else -length % 8)
