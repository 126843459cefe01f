"""Candidates: exported files that are not yet evaluated, each in a folder of its own beside its place."""

from __future__ import annotations

import contextlib
import glob
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.files import locked


@contextlib.contextmanager
def candidate_folder(path: Path) -> Iterator[Path]:
    """Make a folder for a file's candidate, and remove it in the end.

    It lies beside the file, so that the rename stays within one file system, and is locked while this process lives.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        folder = _locked_folder(path, stack)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _locked_folder(path: Path, stack: contextlib.ExitStack) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path)))
        with contextlib.suppress(FileNotFoundError):
            stack.enter_context(locked(folder))
        if folder.exists():  # else another export took it for a leftover before it was locked
            return folder


def remove_leftovers(path: Path) -> None:
    """Remove the candidates of exports of this file that were killed; those of running ones are locked."""
    for folder in path.parent.glob(f"{glob.escape(_prefix(path))}????????"):
        with contextlib.suppress(OSError), locked(folder, wait=False) as abandoned:
            if abandoned:
                shutil.rmtree(folder, ignore_errors=True)


def install(candidate: Path, path: Path) -> None:
    """Move a candidate to its place; an earlier file or package goes."""
    with locked(path.parent):
        if path.is_dir():  # a package cannot be renamed over another
            path.rename(candidate.parent / "previous")
        candidate.replace(path)


def _prefix(path: Path) -> str:
    # The whole name: exports of several formats may run side by side.
    return f".{path.name}-"
