"""What every format of own labels is read into: images with faces, in the file's own coordinates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from atpn.data.coordinates import IN_RANGE, MAX_COORDINATE
from atpn.data.readers.folders import is_file
from edge_runtime.landmarks import LandmarkScheme
from edge_runtime.reading import MAX_LABEL_BYTES, quote, read_text

Complain = Callable[[str, str], None]
"""Receives a place ("labels.csv line 3") and what is wrong there; the parser continues with the next entry."""


_MAX_TEXT = 4096
"""Maximum length of a path, as of Linux."""
_SPLIT = re.compile(r"(?<![a-z])(train|val|test)(?:ing|id|idation)?(?![a-z])")
"""A split in a file's or folder's name, as a word of its own."""


class LabelError(ValueError):
    """A label that cannot be used: what was given, what was expected, what to do."""


@dataclass(frozen=True)
class LabeledFace:
    """One face as its file describes it."""

    where: str
    """Its place: file, and line, image, or annotation."""
    landmarks: np.ndarray | None = None
    """(N, 2) float64 in the file's coordinates; NaN where unlabeled. None for a face with a box alone."""
    labels: tuple[str, ...] = ()
    """Name or number of each landmark; empty if they come in the scheme's order."""
    complete: bool = True
    """`landmarks` has a row for each point of the scheme; else only for the points that were labeled."""
    visibility: np.ndarray | None = None
    """(N,) bool."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom."""
    rotation: np.ndarray | None = None
    """(3, 3) head to camera."""
    identity: str = ""


@dataclass(frozen=True)
class LabeledImage:
    """One image as its file describes it."""

    where: str
    name: str
    """Path as in the file."""
    folders: tuple[Path, ...]
    """Folders in which the path is looked up, in this order."""
    faces: tuple[LabeledFace, ...] = ()
    """Faces; none at all: an image without a face."""
    size: tuple[int, int] | None = None
    """Width and height in pixels, if the file states them."""
    split: str = "all"

    @property
    def path(self) -> Path:
        """Where the image is, or where it should be."""
        places = [folder / self.name for folder in self.folders]
        return next((place for place in places if is_file(place)), places[0])


@dataclass(frozen=True)
class LabelSet:
    """All images of one label file, or of the files beside the images."""

    images: list[LabeledImage] = field(default_factory=list)
    scheme: LandmarkScheme | None = None
    """Scheme that the file states."""
    first_pixel: float = 0.0
    """Coordinate of the first pixel's center in the format, or as the file states it."""
    notes: tuple[str, ...] = ()
    """What was left out."""


def load_json(path: Path) -> Any:
    """Parse a JSON file with or without a byte order mark; LabelError says where it is damaged."""
    try:
        return json.loads(read_text(path, MAX_LABEL_BYTES, LabelError))
    except LabelError:
        raise
    except RecursionError as error:
        raise LabelError(f"{path} is nested too deeply; export it again") from error
    except ValueError as error:  # also for a number of thousands of digits
        raise LabelError(f"{path} is not JSON: {quote(error)}; export it again") from error


def text_of(entry: Any, key: str) -> str:
    """Return a non-empty string of an entry; LabelError if there is none."""
    if not isinstance(entry, dict):
        raise LabelError(f"got {_short(entry)}, expected an object with {key!r}")
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip() or len(value) > _MAX_TEXT or "\0" in value:
        raise LabelError(
            f"got {key} {_short(value)}, expected a string; keys here: {quote(', '.join(map(str, entry)))}"
        )
    return value


def list_of(entry: Any, key: str) -> list[Any]:
    """Return a list of an entry; LabelError if there is none."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, list):
        raise LabelError(f"got {key} {_short(value)}, expected a list")
    return value


def numbers_of(values: Any, count: int, what: str) -> list[float]:
    """Return `count` numbers within `MAX_COORDINATE`; LabelError otherwise."""
    given = values if isinstance(values, list | tuple) else [values]
    valid = len(given) == count and all(
        isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= MAX_COORDINATE for v in given
    )
    if not valid:
        raise LabelError(f"{what} is {_short(values)}, expected {count} numbers {IN_RANGE}")
    return [float(v) for v in given]


def size_of(entry: dict[str, Any], width: str = "width", height: str = "height") -> tuple[int, int] | None:
    """Return the width and height that an entry states, None without both."""
    values = entry.get(width), entry.get(height)
    if not all(isinstance(value, int | float) and 0 < value < 1e9 for value in values):
        return None
    return int(values[0]), int(values[1])


def split_of(name: str) -> str:
    """Return the split that a file's or folder's name tells: train, val, or test; else all."""
    found = _SPLIT.search(name.lower())
    return found[1] if found else "all"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
