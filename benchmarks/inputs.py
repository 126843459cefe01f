"""Options that commands share, and the files and faces that they name."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.backends import Backend, load_backend
from edge_runtime.flags import flag
from edge_runtime.spec import ModelSpec, read_spec

if TYPE_CHECKING:
    from atpn.data.store import SampleStore

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")
SEED = 20_001
"""Seed of rendered people on whom no recipe of the project trains."""


def models_option(formats: str = ".tflite and .onnx") -> Any:
    """Return the field of an option for the model files."""
    return flag(Path("dist"), f"folder of {formats} files, or one file")


def out_option(name: str) -> Any:
    """Return the field of an option for the results file of a benchmark."""
    return flag(Path(f"dist/bench/{name}.json"), "results file")


def check_minimum(config: Any, **minimums: float) -> None:
    """Raise ValueError if an option is below its minimum."""
    for name, minimum in minimums.items():
        if getattr(config, name) < minimum:
            value = getattr(config, name)
            raise ValueError(f"--{name.replace('_', '-')} must be {minimum:g} or more, got {value:g}")


def model_files(path: Path, *suffixes: str) -> list[Path]:
    """Return exported models: one file, or those in a folder. Raise FileNotFoundError for none."""
    return find_files(path, suffixes or (".tflite", ".onnx"), "run `make export-tflite` first")


def tracking_files(path: Path) -> list[Path]:
    """Return the exported models that track. Raise FileNotFoundError for none."""
    paths = [file for file in model_files(path) if "pose" in read_spec(file).outputs]
    if not paths:
        raise FileNotFoundError(f"no tracking network in {path}: run `make export-tflite` first")
    return paths


def video_files(path: Path) -> list[Path]:
    """Return videos: one file, or those in a folder. Raise FileNotFoundError for none."""
    return find_files(path, VIDEO_SUFFIXES, "give a folder of videos with --videos")


def find_files(path: Path, suffixes: tuple[str, ...], remedy: str) -> list[Path]:
    """Return one file, or the files in a folder with these suffixes, sorted by name.

    Raises:
        FileNotFoundError: There is none; the message ends with the remedy.
    """
    if path.is_file():
        return [path]
    paths = sorted(file for file in path.glob("*") if file.suffix.lower() in suffixes)
    if not paths:
        raise FileNotFoundError(f"no {' or '.join(suffixes)} file in {path}: {remedy}")
    return paths


def open_backend(path: Path) -> Backend:
    """Load a model file; one that takes query points gets points of its face plane.

    Its landmarks do not depend on them. The errors are those of `load_backend`; ModelFileError also for a detector.
    """
    from export.points import evaluation_plane

    backend = load_backend(path)
    if prompts := ModelSpec.check_kind(backend.spec).prompts:
        backend.prompt(evaluation_plane(prompts))
    return backend


def rendered_store(data: Path | None, count: int, assets: Path | None) -> tuple[SampleStore, str]:
    """Return the shards in a folder or, without one, `count` new images; and a description of them.

    Without `assets`, the images show a procedural head. Raise ValueError or OSError for missing files.
    """
    from atpn.data.store import SampleStore
    from atpn.synthetic import cli

    if data is not None:
        return SampleStore.read(data), f"renders in {data.name}"
    with tempfile.TemporaryDirectory() as folder:
        cli.run(cli.RenderConfig(Path(folder), assets, count, SEED, "held-out"))
        origin = f"{count} images rendered for this run, seed {SEED}"
        if assets is None:
            origin += ", of a procedural head that no shipped weights were trained on: compare files, not networks"
        return SampleStore.read(Path(folder)), origin
