"""The shipped model files. `make models` exports them from the shipped weights, each checked against PyTorch."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.errors import ModelFileError

FOLDER = Path(__file__).resolve().parent
LANDMARK_MODELS = ("atpn_int8", "atpn_fp16")
"""Tracking networks: one with int8 arithmetic, and one with float arithmetic, as accurate as fp32."""
DETECTOR_MODEL = "detector_fp32"
"""Face detector. Its int8 file is smaller, but its scores differ by up to 0.1."""


def model_path(name: str) -> Path:
    """Return the path of a shipped model.

    Raises:
        ValueError: No shipped model has this name.
        ModelFileError: The installation lacks the file.
    """
    names = (*LANDMARK_MODELS, DETECTOR_MODEL)
    if name not in names:
        raise ValueError(f"no shipped model is called {name!r}, expected one of {', '.join(names)}")
    path = FOLDER / f"{name}.tflite"
    if not path.is_file():
        raise ModelFileError(f"the installation lacks {path}: reinstall the package; in a checkout, run `make models`")
    return path


def model_paths() -> list[Path]:
    """Return the paths of all shipped models. ModelFileError if the installation lacks one."""
    return [model_path(name) for name in (*LANDMARK_MODELS, DETECTOR_MODEL)]
