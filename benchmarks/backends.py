"""Exported files ready to run, those with prompts included."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.backends import Backend, load_backend
from export.points import evaluation_plane


def open_backend(path: Path) -> Backend:
    """Load a file; one with prompts is asked for points of its plane, which its landmarks do not depend on.

    The errors are those of `load_backend`.
    """
    backend = load_backend(path)
    if backend.spec.prompts:
        backend.prompt(evaluation_plane(backend.spec.prompts))
    return backend
