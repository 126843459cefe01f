"""What the three file formats have in common, as the pipeline sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atpn.model import Network
from edge_runtime.spec import ModelSpec
from export.config import Ranges

Predictor = Callable[[np.ndarray], dict[str, np.ndarray]]
"""One (S, S, 3) uint8 RGB crop or picture to a file's outputs by name, float32, without the batch axis."""


@dataclass(frozen=True)
class Job:
    """One file to be made."""

    model: Network
    spec: ModelSpec
    """Goes into the file; its precision and outputs say what to make."""
    calibration: np.ndarray | None
    """(n, S, S, 3) uint8 RGB crops or pictures for value ranges; None where the precision needs none."""
    ranges: Ranges = "min-max"
    """How the ranges come from the crops."""


@dataclass(frozen=True)
class Format:
    """A kind of model file."""

    name: str
    suffix: str
    libraries: tuple[str, ...]
    """Distributions whose versions decide what a file looks like; the first that is missing names what to install."""
    calibrated: frozenset[str]
    """Precisions whose value ranges come from calibration crops."""
    write: Callable[[Job, Path], None]
    """Make the file or package at a path. ExportError names what is missing or cannot be converted."""
    count_operators: Callable[[Path], dict[str, int]]
    """Operator names and how often a file uses them, most frequent first."""
    load: Callable[[Path], Predictor]
    """Open a file to run it as a device would, as far as this machine can."""
    native: bool = True
    """The format's own engine runs here, so that its time means something."""


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a package."""
    return sum(part.stat().st_size for part in _parts(path))


def sha256_of(path: Path) -> str:
    """Hash of a file, or of a package's files and their names."""
    digest = hashlib.sha256()
    for part in _parts(path):
        if path.is_dir():
            digest.update(str(part.relative_to(path)).encode() + b"\0")
        digest.update(part.read_bytes())
    return digest.hexdigest()


def _parts(path: Path) -> list[Path]:
    return sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]
