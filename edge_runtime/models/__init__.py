"""The shipped model files. `make models` exports them from the shipped weights, each checked against PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from edge_runtime.errors import ModelFileError

FOLDER = Path(__file__).resolve().parent


class NetworkFiles(NamedTuple):
    """Names of a tracking network's files."""

    int8: str
    """With int8 arithmetic."""
    accurate: str
    """With float arithmetic, as accurate as fp32."""


NETWORKS: Mapping[str, str] = MappingProxyType({"atpn": "atpn", "lite": "atpn_lite"})
"""Shipped tracking networks, the most accurate first: the name by which `--model` chooses one, which its weights have,
too, and how its files' names begin."""
DEFAULT_NETWORK = next(iter(NETWORKS))
DETECTOR_MODEL = "detector_fp32"
"""Face detector. Its int8 file is smaller, but its scores differ by up to 0.1."""


def network_files(network: str = DEFAULT_NETWORK) -> NetworkFiles:
    """Return the names of a network's files."""
    stem = NETWORKS[network]
    return NetworkFiles(f"{stem}_int8", f"{stem}_fp16")


def landmark_models() -> list[str]:
    """Return the names of the files of all tracking networks."""
    return [name for network in NETWORKS for name in network_files(network)]


def model_path(name: str) -> Path:
    """Return the path of a shipped model.

    Raises:
        ValueError: No shipped model has this name.
        ModelFileError: The installation lacks the file.
    """
    names = (*landmark_models(), DETECTOR_MODEL)
    if name not in names:
        raise ValueError(f"no shipped model is called {name!r}, expected one of {', '.join(names)}")
    path = FOLDER / f"{name}.tflite"
    if not path.is_file():
        raise ModelFileError(f"the installation lacks {path}: reinstall the package; in a checkout, run `make models`")
    return path


def model_paths() -> list[Path]:
    """Return the paths of all shipped models. ModelFileError if the installation lacks one."""
    return [model_path(name) for name in (*landmark_models(), DETECTOR_MODEL)]
