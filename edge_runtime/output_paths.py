"""Paths that a command writes to, as its options declare them, and their check before a long run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from edge_runtime.errors import SinkError
from edge_runtime.files import check_outputs, check_writable


@dataclass(frozen=True)
class Output:
    """Mark of an option whose path is written; other paths are read."""

    folder: bool = False
    """Whether it is a folder of files."""
    beside: tuple[str, ...] = ()
    """Suffixes of further files, written under the same name."""


CHECKPOINT_SUFFIX = ".safetensors"
"""Weights, with their description beside them, a .json."""
OutputFile = Annotated[Path, Output()]
OutputFolder = Annotated[Path, Output(folder=True)]
OutputCheckpoint = Annotated[Path, Output(beside=(".json",))]


def check_config(config: Any) -> None:
    """Check the paths in a dataclass of options, and in dataclasses inside it.

    SinkError if an output is an input or another output (see `check_outputs`), or cannot be written.
    """
    outputs: dict[str, Path] = {}
    inputs: dict[str, Path] = {}
    for name, path, output in _paths(config):
        if output is None:
            inputs[name] = path
            if path.suffix == CHECKPOINT_SUFFIX:
                inputs[f"{name}'s .json"] = path.with_suffix(".json")
            continue
        outputs[name] = path
        outputs |= {f"{name}'s {suffix}": path.with_suffix(suffix) for suffix in output.beside}
        _check_place(path, output.folder)
    check_outputs(outputs, inputs)


def _paths(config: Any) -> Iterator[tuple[str, Path, Output | None]]:
    """Yield each path with its option's name, and its mark if it is written; a text may name a file, too."""
    hints = get_type_hints(type(config), include_extras=True)
    for field in fields(config):
        value, name = getattr(config, field.name), f"--{field.name.replace('_', '-')}"
        if is_dataclass(value):
            yield from _paths(value)
        several = isinstance(value, list | tuple)
        for number, path in enumerate(value if several else [value]):
            if isinstance(path, Path) or (isinstance(path, str) and os.path.isfile(path)):  # noqa: PTH113, any text
                yield f"{name} {number + 1}" if several else name, Path(path), _mark(hints[field.name])


def _mark(hint: Any) -> Output | None:
    """Return the mark in an annotation, also of an optional path."""
    if isinstance(hint, Output):
        return hint
    marks = [*getattr(hint, "__metadata__", ()), *get_args(hint)]
    return next((mark for mark in map(_mark, marks) if mark is not None), None)


def _check_place(path: Path, folder: bool) -> None:
    """Raise SinkError if a file or folder, whose folders will be made, cannot be written."""
    if not folder and path.parent.is_dir():
        check_writable(path)
        return
    place = next(each for each in ((path, *path.parents) if folder else path.parents) if os.path.lexists(each))
    if not place.is_dir():
        raise SinkError(f"cannot write to {path}: {place} is not a folder; choose another name")
    if not os.access(place, os.W_OK):
        raise SinkError(f"cannot write to {path}: no permission to write to {place}; choose another name")
