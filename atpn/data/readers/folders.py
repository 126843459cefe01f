"""Lookup of a dataset's folders and files."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

IMAGE_SUFFIXES = (".jpg", ".png", ".jpeg")
"""In order of preference."""


def below(root: Path, *names: str) -> Path | None:
    """Return the folder or file at these names below `root`, case-insensitive; None if it does not exist."""
    for name in names:
        exact = root / name
        if not exact.exists():
            found = [p for p in root.iterdir() if p.name.lower() == name.lower()] if root.is_dir() else []
            if not found:
                return None
            exact = found[0]
        root = exact
    return root


def first_below(root: Path, *places: str) -> Path | None:
    """Return the first of several places ("A/B") that exists."""
    found = (below(root, *place.split("/")) for place in places)
    return next((path for path in found if path is not None), None)


def is_file(path: Path) -> bool:
    """Return whether a label's path is a file; one whose name is too long for the system is none."""
    try:
        return path.is_file()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def files(folder: Path, suffix: str) -> Iterator[Path]:
    """Yield all files with a suffix in a folder and its subfolders, sorted; skip hidden ones."""
    for path in sorted(folder.rglob(f"*{suffix}")):
        if not path.name.startswith(".") and "__MACOSX" not in path.parts:
            yield path


def image_beside(label: Path) -> Path | None:
    """Return the image with a label file's name, in the same folder."""
    return next((p for suffix in IMAGE_SUFFIXES if (p := label.with_suffix(suffix)).exists()), None)
