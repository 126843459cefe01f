"""What the three file formats have in common, as the pipeline sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atpn.model import Network
from edge_runtime.backends import load_backend
from edge_runtime.spec import ModelSpec
from export.config import Ranges
from export.points import checked_plane, random_plane

Predictor = Callable[[np.ndarray], dict[str, np.ndarray]]
"""One (S, S, 3) uint8 RGB crop or picture to a file's outputs by name, float32, without the batch axis; a file with
prompts is asked for `points.checked_plane`."""
PLANE = "plane"
"""The second input of a file with prompts, where files keep names."""
_CALIBRATION_SEED = 11


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

    def calibration_inputs(self) -> Iterator[tuple[np.ndarray, ...]]:
        """The file's inputs for the value ranges: a (1, S, S, 3) picture and, with prompts, a (1, M, 2) plane.

        Every crop is asked for other points.
        """
        assert self.calibration is not None
        rng = np.random.default_rng(_CALIBRATION_SEED)
        for crop in self.calibration:
            plane = (random_plane(self.spec.prompts, rng)[None],) if self.spec.prompts else ()
            yield crop[None], *plane


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
    find_problems: Callable[[Path], list[str]] = lambda path: []
    """Describe what in a file gives other results on another processor than here; empty when all is well."""
    native: bool = True
    """The format's own engine runs here, so that its time means something."""


def load_native(path: Path) -> Predictor:
    """A file in the engine of its format, one thread."""
    backend = load_backend(path, threads=1)
    if backend.spec.prompts:
        backend.prompt(checked_plane(backend.spec.prompts))
    return backend.run


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
