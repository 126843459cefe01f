"""Finding a dataset's folders and files: archives unpack them under names of any case, one level up or down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PICTURES = (".jpg", ".png", ".jpeg")
"""Suffixes of pictures, in the order in which they are looked for."""


def below(root: Path, *names: str) -> Path | None:
    """The folder or file that the names lead to, upper and lower case alike; None when it is not there."""
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
    """The first of several places ("A/B") that is there."""
    found = (below(root, *place.split("/")) for place in places)
    return next((path for path in found if path is not None), None)


def files(folder: Path, suffix: str) -> Iterator[Path]:
    """All files of a suffix in a folder and below it, in order; those that systems hide there are passed over."""
    for path in sorted(folder.rglob(f"*{suffix}")):
        if not path.name.startswith(".") and "__MACOSX" not in path.parts:
            yield path


def picture_beside(label: Path) -> Path | None:
    """The picture of a label file's name, in the same folder."""
    return next((p for suffix in PICTURES if (p := label.with_suffix(suffix)).exists()), None)
