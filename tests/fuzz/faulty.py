"""Readers with one fault each, to test the harness."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import numpy as np

from tests.fuzz.mutations import of_bytes
from tests.fuzz.outcome import MAX_MESSAGE, check
from tests.fuzz.target import Target

MEMORY = 2**27
"""Limit of the readers' memory, bytes: less than usual, since filling it takes time."""
VALID = b"a valid file of some bytes"


def _make(folder: Path) -> None:
    (folder / "input.bin").write_bytes(VALID)


def _refuse(file: Path) -> None:
    raise ValueError(f"{file} is damaged")


def _print(_: Path) -> None:
    os.write(1, b"{}\n")


def _fill_memory(_: Path) -> None:
    np.ones(MEMORY // 6)


def _lack_memory(_: Path) -> None:
    bytearray(2**50)


def _leave_open(_: Path) -> None:
    {}["key"]


def _talk(file: Path) -> None:
    raise ValueError(f"{file} {'x' * MAX_MESSAGE}")


def _keep_name(_: Path) -> None:
    raise ValueError("it is damaged")


def _break_property(_: Path) -> None:
    check(False, "a property does not hold")


def _abort(_: Path) -> None:
    os.abort()


def _leave(_: Path) -> None:
    os._exit(3)


def _hang(_: Path) -> None:
    threading.Event().wait()


_READERS = {
    "fine": lambda _: None,
    "prints": _print,
    "refuses": _refuse,
    "raises another error": _leave_open,
    "says too much": _talk,
    "names no file": _keep_name,
    "breaks a property": _break_property,
    "aborts": _abort,
    "leaves": _leave,
    "fills the memory": _fill_memory,
    "asks for too much": _lack_memory,
    "hangs": _hang,
}


def _target(name: str) -> Target:
    def read(_: Path, file: Path) -> str:
        content = file.read_bytes()
        if content != VALID:
            _READERS[name](file)
        return "result"

    seconds = 1.0 if name == "hangs" else 30.0
    return Target(
        name, _make, read, (ValueError,), of_bytes, special=False, compared=True, seconds=seconds, memory=MEMORY
    )


def _accept_regular_files(_: Path, file: Path) -> None:
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(f"{file} is not a regular file")


_SILENT = Target(
    "accepts", _make, lambda _, file: file.read_bytes(), (ValueError,), of_bytes, special=False, compared=True
)
_UNCHECKED = Target("compares nothing", _make, lambda *_: None, (ValueError,), of_bytes, special=False, compared=True)
_REGULAR = Target("takes regular files", _make, _accept_regular_files, (), of_bytes)
ALL = {name: _target(name) for name in _READERS} | {each.name: each for each in (_SILENT, _UNCHECKED, _REGULAR)}
