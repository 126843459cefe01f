"""Writing of files, and their order: the one way to replace a file.

A file is written under a random name beside its target and renamed when it is complete. So an earlier one stays whole
until then, and two writers do not disturb each other.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from edge_runtime.errors import SinkError

if sys.platform != "win32":
    import fcntl

_RESULT_SUFFIXES = (".json", ".jsonl", ".csv", ".md", ".html", ".npz")
"""Files that commands write beside what they read."""


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
        return _real(path) == _real(other)


class Replacement:
    """A file to write at `path`, which becomes the target at `commit`.

    A link is followed, and stays. A device or a pipe is written to, and stays. The mode of an earlier file is kept.
    """

    path: Path
    """Where to write: a new name, or the device or pipe itself."""
    in_place: bool
    """Whether the target is a device or a pipe: what is written cannot be taken back."""

    def __init__(self, target: Path | str, keep_suffix: bool = False) -> None:
        """Take the target; the new name has its suffix on request. SinkError if no file can be written there."""
        self.target = Path(target)
        try:
            mode = _mode(self.target)
        except OSError as error:
            raise SinkError(f"cannot write {target}: {error.strerror}") from error
        if stat.S_ISDIR(mode):
            raise SinkError(f"cannot write {target}: it is a folder; give a file's name")
        if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            raise SinkError(f"cannot write {target}: it is neither a file nor a pipe; give another name")
        self.in_place = stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)
        # A device is opened by its own name: a pipe behind /dev/stdout has no other.
        self._resolved = self.target if self.in_place else _real(self.target)
        self.path = self._resolved if self.in_place else temporary_path(self._resolved, keep_suffix)
        if not self.in_place:
            self._create(mode)

    def _create(self, mode: int) -> None:
        # Whether it can be written should be known now, not at the end.
        if not _has_kind(self._resolved.parent, stat.S_ISDIR):
            raise SinkError(
                f"cannot write {self.target}: the folder {self._resolved.parent} does not exist; create it first"
            )
        try:
            # What the earlier file hides from others, its successor hides from the start.
            self.path.touch(mode=stat.S_IMODE(mode) | stat.S_IWUSR if mode else 0o666, exist_ok=False)
        except OSError as error:
            raise SinkError(f"cannot write {self.target}: {error.strerror}") from error

    def commit(self) -> None:
        """Make the written file the target, once it is on the disk. OSError names the target."""
        if self.in_place:
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
        if not self.in_place:
            self.path.unlink(missing_ok=True)


def temporary_path(path: Path, keep_suffix: bool = False) -> Path:
    """Return a new name beside a path, to write under until the file is complete.

    It ends in `.part`, so that nobody who looks for files of a kind finds it, or on request in the path's suffix.
    """
    # Names have at most 255 bytes.
    start = path.name.encode(errors="ignore")[:100].decode(errors="ignore")
    return path.with_name(f"{start}.{uuid.uuid4().hex}.part{path.suffix if keep_suffix else ''}")


def check_writable(path: Path) -> None:
    """Raise SinkError if no file can be written to a path, as before a long run."""
    Replacement(path).discard()


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


@contextlib.contextmanager
def locked(folder: Path, wait: bool = True) -> Iterator[bool]:
    """Lock a folder against others who lock it, until the end of the block or of this process.

    The value says whether it is locked: without waiting, another may hold it. Where the system has no such locks, as
    Windows, nothing is locked.
    """
    if sys.platform == "win32":
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def is_no_result(path: Path) -> bool:
    """Return whether a file is none of the reports and tables that commands write, and that nobody takes for input."""
    return path.suffix.lower() not in _RESULT_SUFFIXES


def check_outputs(
    outputs: Mapping[str, Path | None],
    inputs: Mapping[str, Path | None],
    is_input: Callable[[Path], bool] = is_no_result,
) -> None:
    """Raise SinkError if an output is one of the inputs, is an existing file of an input folder, or is another output.

    Both map options such as `--save` to paths; None stands for an option that was not given. `is_input` tells which
    files of an input folder are read.
    """
    read = {name: path for name, path in inputs.items() if path is not None}
    written: dict[str, Path] = {}
    for name, path in outputs.items():
        if path is None or _has_kind(path, stat.S_ISCHR) or _has_kind(path, stat.S_ISFIFO):
            continue
        for other, used in {**read, **written}.items():
            inside = other in read and _has_kind(path, stat.S_ISREG) and _real(used) in _real(path).parents
            if is_same_file(path, used) or (inside and is_input(path)):
                raise SinkError(f"{name} {path} would overwrite {other} {used}: choose another name")
        written[name] = path


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve, it survives links that lead to themselves


def _mode(path: Path) -> int:
    """Return a path's type and permissions, 0 if it does not exist. OSError if it cannot exist."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0


def _has_kind(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(_mode(path))
    except OSError:  # of a name that is too long, too
        return False
