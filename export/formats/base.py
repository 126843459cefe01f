"""What the formats have in common."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atpn.model import Network
from edge_runtime.backends import load_backend
from edge_runtime.spec import DetectorSpec, ModelSpec
from export.config import Ranges
from export.points import evaluation_plane, random_plane

Predictor = Callable[[np.ndarray], dict[str, np.ndarray]]
"""One (S, S, 3) uint8 RGB image to a file's outputs by name, float32, without the batch axis. Query points are those of
`points.evaluation_plane`."""
PLANE = "plane"
"""Name of the second input of a file with query points, where files keep names."""
INPUTS_KEY = "inputs_sha256"
"""Entry of a spec's provenance, see `Job.inputs_sha256`."""
_CALIBRATION_SEED = 11


@dataclass(frozen=True)
class Job:
    """One file to convert."""

    model: Network
    spec: ModelSpec | DetectorSpec
    """Goes into the file; its precision and outputs say what to make."""
    calibration: np.ndarray | None
    """(n, S, S, 3) uint8 RGB images for value ranges; None where the precision needs none."""
    ranges: Ranges = "min-max"
    """How the ranges come from the images."""

    @property
    def prompts(self) -> int:
        """Number of query points of the second input; 0: none."""
        return self.spec.prompts if isinstance(self.spec, ModelSpec) else 0

    def with_inputs_hash(self) -> Job:
        """Return the job with `inputs_sha256` in the provenance of its spec."""
        provenance = {**self.spec.provenance, INPUTS_KEY: self.inputs_sha256()}
        return dataclasses.replace(self, spec=dataclasses.replace(self.spec, provenance=provenance))

    def inputs_sha256(self) -> str:
        """Return the hash of all that shapes the file besides the spec, the converters, and the exporter's sources.

        These are the network with its constants, and the images and query points of the calibration, as they are after
        reading and drawing: another decoder, seed, or generator changes the hash, too.
        """
        model, digest = self.model, hashlib.sha256()
        digest.update(f"{type(model).__name__} {model.config}".encode())
        arrays = {name: tensor.detach().numpy() for name, tensor in (*model.named_parameters(), *model.named_buffers())}
        if self.calibration is not None:
            digest.update(self.ranges.encode())
            for i, inputs in enumerate(self.calibration_inputs()):
                arrays |= {f"{i}.{j}": values for j, values in enumerate(inputs)}
        for name, values in arrays.items():
            digest.update(f"{name} {values.dtype} {values.shape}".encode() + values.tobytes())
        return digest.hexdigest()

    def calibration_inputs(self) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield a (1, S, S, 3) image and, with query points, a (1, M, 2) plane that differs from image to image."""
        assert self.calibration is not None
        rng = np.random.default_rng(_CALIBRATION_SEED)
        for image in self.calibration:
            plane = (random_plane(self.prompts, rng)[None],) if self.prompts else ()
            yield image[None], *plane


@dataclass(frozen=True)
class Format:
    """A kind of model file."""

    name: str
    suffix: str
    precisions: tuple[str, ...]
    libraries: tuple[str, ...]
    """Distributions whose versions decide what a file looks like."""
    calibrated: frozenset[str]
    """Precisions whose value ranges come from calibration images."""
    write: Callable[[Job, Path], None]
    """Write the file or package to a path. ExportError names what is missing or cannot be converted."""
    count_operators: Callable[[Path], dict[str, int]]
    """Number of uses of each operator in a file, most frequent first."""
    load: Callable[[Path], Predictor]
    """Open a file to run it as a device would, as far as this machine can."""
    find_problems: Callable[[Path], list[str]] = lambda path: []
    """Describe what in a file gives other results on another processor; empty when there is nothing."""
    native: bool = True
    """Whether the format's own engine runs here, so that latency can be measured."""


def load_native(path: Path) -> Predictor:
    """Open a file in the engine of its format, with one thread."""
    backend = load_backend(path, threads=1)
    if isinstance(backend.spec, ModelSpec) and backend.spec.prompts:
        backend.prompt(evaluation_plane(backend.spec.prompts))
    return backend.run


def size_of(path: Path) -> int:
    """Return the size of a file, or of all files of a package, in bytes."""
    return sum(part.stat().st_size for part in _parts(path))


def sha256_of(path: Path) -> str:
    """Return the hash of a file, or of a package's files and their names."""
    digest = hashlib.sha256()
    for part in _parts(path):
        if path.is_dir():
            digest.update(str(part.relative_to(path)).encode() + b"\0")
        digest.update(part.read_bytes())
    return digest.hexdigest()


def _parts(path: Path) -> list[Path]:
    return sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]
