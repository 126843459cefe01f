"""NumPy's .npy and .npz files that nobody has checked.

Sizes that a file declares are compared with what it holds before anything of that size is made. Arrays of Python
objects are refused: unpickling them runs code.
"""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edge_runtime.reading import open_regular, quote

MAX_BYTES = 2**32
"""Maximum size of all arrays of a file. The largest of ours, textures and shapes of heads, have 0.4 GB."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What NumPy writes. Other methods can make a far larger content of a small file."""
_ENCRYPTED = 1
_CHUNK = 2**20
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
MALFORMED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OverflowError, MemoryError),
    *(ValueError, LookupError, TypeError, SyntaxError, tokenize.TokenError, OSError),
)
"""What `zipfile` and NumPy raise for damaged archives and headers. RuntimeError includes NotImplementedError and
RecursionError; OSError is for a member that would begin before the file."""


class ArrayFileError(ValueError):
    """A file of arrays is damaged, not one, or lacks an array. The message names the file."""


def load_arrays(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Read the named arrays of an .npz file, or all. FileNotFoundError, or what `read_arrays` raises."""
    with open_regular(path, ArrayFileError) as file:
        return read_arrays(file, str(path), names)


def read_arrays(
    file: BinaryIO, source: str, names: Sequence[str] | None = None, limit: int = MAX_BYTES
) -> dict[str, np.ndarray]:
    """Read the named arrays of an open .npz file, or all; `source` names it in messages.

    ArrayFileError if it is damaged, lacks a named array, or has more than `limit` bytes of arrays.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if missing := [name for name in names or () if name not in members]:
                raise ArrayFileError(f"it lacks {quote(', '.join(missing))}; it has {quote(', '.join(members))}")
            chosen = {name: members[name] for name in (members if names is None else names)}
            if sum(info.file_size for info in chosen.values()) > limit:
                raise ArrayFileError(f"its arrays have more than {limit} bytes")
            return {name: parse_array(read_member(archive, info)) for name, info in chosen.items()}
    except MALFORMED as error:
        raise ArrayFileError(f"{source} is not an .npz file of arrays, or is damaged ({quote(error)})") from error


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return the content of a member, of at most `MAX_BYTES`, whose checksum must agree. Raises one of `MALFORMED`."""
    if info.file_size > MAX_BYTES:
        raise ValueError(f"{quote(info.filename)} has {info.file_size} bytes, at most {MAX_BYTES} are read")
    if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
        raise ValueError(f"{quote(info.filename)} is encrypted, or packed by another method than deflate")
    with archive.open(info) as stream:
        content = b"".join(iter(lambda: stream.read(_CHUNK), b""))
    if len(content) != info.file_size:
        raise ValueError(f"{quote(info.filename)} has {len(content)} bytes, {info.file_size} are declared")
    return content


def parse_array(content: bytes) -> np.ndarray:
    """Return the array of an .npy file's content. ArrayFileError if it is damaged, or of Python objects."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]
        if version not in _HEADERS:
            raise ValueError(f"version {version} of the format is unknown")
        shape, fortran, dtype = _HEADERS[version](stream)  # type: ignore[no-untyped-call]
        held, declared = len(content) - stream.tell(), math.prod(shape) * dtype.itemsize
        if dtype.hasobject or any(side < 0 for side in shape) or held != declared:
            raise ValueError(f"{dtype} {shape} does not fit {held} bytes")
        values = np.frombuffer(content, dtype, math.prod(shape), stream.tell()) if declared else np.empty(0, dtype)
        return values.reshape(shape, order="F" if fortran else "C").copy("K")
    except MALFORMED as error:
        raise ArrayFileError(f"an array is damaged ({quote(error)})") from error
