"""Files to measure, as a command line names them."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.spec import ModelSpec

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")


def model_files(where: Path) -> list[Path]:
    """Exported models: one file, or a folder's; FileNotFoundError when there is none."""
    return files(where, (".tflite", ".onnx"), "run `make export-tflite` first")


def tracking_files(where: Path) -> list[Path]:
    """Those of the exported models that track; FileNotFoundError when there is none."""
    paths = [path for path in model_files(where) if "pose" in ModelSpec.read(path).outputs]
    if not paths:
        raise FileNotFoundError(f"no network that tracks in {where}: run `make export-tflite` first")
    return paths


def files(where: Path, suffixes: tuple[str, ...], remedy: str) -> list[Path]:
    """One file, or a folder's by their suffixes in order of their names; FileNotFoundError tells the remedy."""
    if where.is_file():
        return [where]
    paths = sorted(path for path in where.glob("*") if path.suffix.lower() in suffixes)
    if not paths:
        raise FileNotFoundError(f"no {' or '.join(suffixes)} file in {where}: {remedy}")
    return paths
