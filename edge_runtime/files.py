"""Atomic writing, and the order, of files."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Return a key that sorts paths of one folder by name, and numbers in names by value: 2 before 10."""
    # Splitting by a group gives text and numbers in turn, so that equal places hold equal types.
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], path.name


def is_same_file(path: Path, other: Path) -> bool:
    """Return whether both paths name one file or folder, or, if neither exists, one place."""
    try:
        return path.samefile(other)
    except OSError:
        return path.resolve() == other.resolve()


def temporary_path(path: Path) -> Path:
    """Return a new name beside a path, with its suffix, to write under until the file is complete."""
    return path.with_name(f"{path.stem}.{uuid.uuid4().hex}.part{path.suffix}")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it; remove it if writing fails.

    Of several concurrent writers of one path, the last one's content remains. OSError names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk
            error.filename = str(path)
        raise
