"""Files that nobody has checked: the one way to read them whole.

A file must be a regular one, so that a pipe or a device cannot block or fill the memory, and within a size. JSON must
be finite and of limited depth.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from edge_runtime.errors import InputFileError

MAX_TEXT_BYTES = 2**22
"""Maximum size of a file of settings: template, scheme, calibration. The largest of ours has 40 kB."""
MAX_MODEL_BYTES = 2**28
"""Maximum size of a model file; the largest of ours has 14 MB."""
MAX_DEPTH = 50
"""Maximum depth of nested lists and objects in JSON; ours have 5."""
MAX_LABEL_BYTES = 2**31
"""Maximum size of a dataset's file of labels; those of a million images have 0.5 GB."""
_MAX_INTEGER = 2**53
"""Maximum magnitude of a whole number in JSON: larger ones are not exact in float64."""
_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
_SHOWN = 200
"""Maximum length of a part of a file that a message quotes, characters."""


def open_regular(path: Path | str, error: type[Exception] = InputFileError) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: The file cannot be read.
        error: It is not a regular file.
    """
    # Opening a pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise error(f"{path} is not a regular file; give a file that can be read whole")


def read_bytes(path: Path | str, limit: int, error: type[Exception] = InputFileError) -> bytes:
    """Read a whole regular file of at most `limit` bytes; `open_regular` has the other errors.

    Raises:
        error: It is not a regular file, or larger.
    """
    with open_regular(path, error) as file:
        size = os.fstat(file.fileno()).st_size
        # No more than the file says at first: `read` makes room for what is asked.
        content = b"" if size > limit else file.read(size + 1)
        if len(content) > size:  # it grows, or is one of /proc, which report 0
            content += file.read(limit + 1 - len(content))
    if max(size, len(content)) > limit:
        raise error(f"{path} has {max(size, len(content))} bytes, at most {limit} are read")
    return content


def read_text(
    path: Path | str, limit: int = MAX_TEXT_BYTES, error: type[Exception] = InputFileError, errors: str = "strict"
) -> str:
    """Read a text file in UTF-8, with or without a byte-order mark, as `read_bytes` does.

    `errors` is what `bytes.decode` does with other bytes; with "strict" they raise `error`.
    """
    try:
        return read_bytes(path, limit, error).decode("utf-8-sig", errors)
    except UnicodeDecodeError as damaged:
        raise error(f"{path} is not text in UTF-8: {damaged.reason} at byte {damaged.start}") from damaged


def read_json(path: Path | str, error: type[Exception] = InputFileError, limit: int = MAX_TEXT_BYTES) -> Any:
    """Read a JSON file; see `parse_json` for what is refused, `read_bytes` for the errors. `error` names the file."""
    content = read_bytes(path, limit, error)
    try:
        return parse_json(content)
    except ValueError as damaged:
        raise error(f"{path} {damaged}") from damaged


def parse_json(content: bytes | str) -> Any:
    """Parse JSON in UTF-8, with or without a byte-order mark.

    ValueError if it is damaged, nested deeper than `MAX_DEPTH`, or has a number that is not finite or a whole number
    beyond 2^53. The message continues a sentence that begins with the file's name.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
    except _NumberError as error:
        raise ValueError(f"has {error}") from error
    except RecursionError as error:  # the parser's own limit is higher
        raise ValueError(_TOO_DEEP) from error
    except ValueError as error:
        raise ValueError(f"is not JSON: {quote(error)}") from error
    if _depth(value) > MAX_DEPTH:
        raise ValueError(_TOO_DEEP)
    return value


def quote(value: object, limit: int = _SHOWN) -> str:
    """Return a value as messages show it: at most `limit` characters, and the length of what is longer."""
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


class _NumberError(ValueError):
    pass


def _refuse(name: str) -> NoReturn:
    raise _NumberError(f"the number {name}; all must be finite")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        _refuse(quote(digits))
    return value


def _whole(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > _MAX_INTEGER:
        raise _NumberError(f"the number {quote(digits)}; whole numbers must be within 2^53")
    return int(digits)


def _depth(value: Any) -> int:
    """Return the depth of nested lists and objects, without recursion."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, list | dict)]:
        depth += 1
        if depth > MAX_DEPTH:
            break
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
    return depth
