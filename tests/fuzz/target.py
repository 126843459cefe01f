"""Target: a reader, valid files for it, and the errors that it documents."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.mutations import Mutate


@dataclass(frozen=True)
class Target:
    """What is tried. `make` and `read` run in a process of their own."""

    name: str
    make: Callable[[Path], None]
    """Writes valid files into an empty folder."""
    read: Callable[[Path, Path], object]
    """Takes the folder and the changed file in it, and returns what is compared if `compared`; None: nothing."""
    errors: tuple[type[BaseException], ...]
    """Documented errors."""
    mutate: Mutate
    files: str = "**/*"
    """Glob of the files that are changed."""
    names_input: bool = True
    """An error's message has the name of the changed file or of its folder."""
    special: bool = True
    """Pipes, devices, and folders in the place of the files are tried, too."""
    compared: bool = False
    """The files have a checksum: an accepted input must give the result of the valid file."""
    weight: float = 1.0
    """Share of the inputs, relative to other targets: less for slow ones."""
    seconds: float = field(default=30.0, kw_only=True)
    """Time after which an input hangs; generous, since machines are slow and busy."""
    memory: int = field(default=2**30, kw_only=True)
    """Maximum growth of the process by one input, bytes."""


def digest(*parts: Any) -> str:
    """Return a digest of arrays, bytes, and what JSON can write."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        else:
            found.update(part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=str).encode())
    return found.hexdigest()


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """Collect the warnings and errors that are logged."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(self.format(record))

    handler = Collector(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        yield messages
    finally:
        logging.getLogger().removeHandler(handler)
