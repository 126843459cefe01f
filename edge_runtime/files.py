"""Writing of files, and their order: the one way to replace a file.

A file is written under a random name beside its target and renamed when it is complete. So an earlier one stays whole
until then, and two writers do not disturb each other.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import uuid
from collections.abc import Mapping
from pathlib import Path

from edge_runtime.errors import SinkError


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Return a key that sorts paths of one folder by name, and numbers in names by value: 2 before 10."""
    # Splitting by a group gives text and numbers in turn, so that equal places hold equal types.
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], path.name


def is_same_file(path: Path, other: Path) -> bool:
    """Return whether both paths name one file or folder, or, if neither exists, one place."""
    try:
        return path.samefile(other)
    except OSError:
        return path.resolve() == other.resolve()


class Replacement:
    """A file to write at `path`, which becomes the target at `commit`.

    A link is followed, and stays. A device or a pipe is written to, and stays. The mode of an earlier file is kept.
    """

    path: Path
    """Where to write: a new name with the target's suffix, or the device or pipe itself."""

    def __init__(self, target: Path | str) -> None:
        """Take the target. SinkError if it is a folder, or no file can be made beside it."""
        self.target = Path(target)
        resolved = self.target.resolve()
        mode = _mode(resolved)
        if stat.S_ISDIR(mode):
            raise SinkError(f"cannot write {target}: it is a folder; give a file's name")
        if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            raise SinkError(f"cannot write {target}: it is neither a file nor a pipe; give another name")
        self._resolved = resolved
        self._in_place = stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)
        self.path = resolved if self._in_place else temporary_path(resolved)
        if not resolved.parent.is_dir():
            raise SinkError(f"cannot write {target}: the folder {resolved.parent} does not exist; create it first")
        if not self._in_place:
            try:
                self.path.touch(exist_ok=False)  # whether it can be written should be known now, not at the end
            except OSError as error:
                raise SinkError(f"cannot write {target}: {error.strerror}") from error

    def commit(self) -> None:
        """Make the written file the target, once it is on the disk. OSError names the target."""
        if self._in_place:
            return
        try:
            with self.path.open("rb+") as file:
                os.fsync(file.fileno())
            if self._resolved.exists():
                shutil.copymode(self._resolved, self.path)
            self.path.replace(self._resolved)
        except OSError as error:
            error.filename, error.filename2 = str(self.target), None
            raise
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove what was written, unless it was committed or went to a device or pipe."""
        if not self._in_place:
            self.path.unlink(missing_ok=True)


def temporary_path(path: Path) -> Path:
    """Return a new name beside a path, with its suffix, to write under until the file is complete."""
    stem = path.stem[:100]  # names have at most 255 bytes
    return path.with_name(f"{stem}.{uuid.uuid4().hex}.part{path.suffix}")


def is_temporary(path: Path) -> bool:
    """Return whether a path is one of `temporary_path`: being written, or left over."""
    return path.stem.endswith(".part")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file as `Replacement` does; make its folder. An earlier file is kept if writing fails.

    Of several concurrent writers of one path, the last one's content remains. OSError names the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    replacement = Replacement(path)
    try:
        replacement.path.write_bytes(content)
        replacement.commit()
    except BaseException as error:
        replacement.discard()
        if isinstance(error, OSError):  # a full disk names no file, or the temporary one
            error.filename, error.filename2 = str(path), None
        raise


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, Path | None]) -> None:
    """Raise SinkError if an output is one of the inputs, or is another output.

    Both map options such as `--save` to paths; None stands for an option that was not given.
    """
    taken = {name: path for name, path in inputs.items() if path is not None}
    for name, path in outputs.items():
        if path is None or _is_device(path):
            continue
        for other, used in taken.items():
            if is_same_file(path, used):
                raise SinkError(f"{name} {path} would overwrite {other} {used}: choose another name")
        taken[name] = path


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _is_device(path: Path) -> bool:
    """Return whether writing to a path replaces nothing."""
    mode = _mode(path)
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)
