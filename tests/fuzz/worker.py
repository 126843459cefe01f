"""Processes that run targets, because engines and native parsers may crash or hang.

A parent process imports the targets once and forks a child; the child answers one request at a time. When it ends, the
parent says how and forks another one. Requests and answers are lines of JSON.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from tests.fuzz.outcome import MAX_MESSAGE, Kind, Outcome
from tests.fuzz.target import Target

ROOT = Path(__file__).resolve().parents[2]
ADDRESS_SPACE = 2**32
"""Maximum growth of a child's address space, bytes: more than the limit on what it uses, to protect the machine."""


class Worker:
    """A process that runs targets."""

    def __init__(self, module: str = "tests.fuzz.targets") -> None:
        """Start it; `module` has the targets by name, `ALL`."""
        self._errors = tempfile.TemporaryFile("a+b")  # noqa: SIM115, closed by __exit__
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
            env=environment,
        )
        self._child = self._answer(None)["pid"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def make(self, target: Target, folder: Path) -> None:
        """Write the target's valid files. RuntimeError if that fails."""
        outcome = self._ask({"target": target.name, "folder": str(folder)}, None)
        if outcome.kind is not Kind.FINE:
            raise RuntimeError(f"the valid files of {target.name} cannot be made: {outcome.reason}")

    def read(self, target: Target, folder: Path, file: Path, system_errors: bool = False) -> Outcome:
        """Run a target on a folder in which this file was changed. With `system_errors`, OSError is documented, too."""
        request = {"target": target.name, "folder": str(folder), "file": str(file), "system_errors": system_errors}
        return self._ask(request, target.seconds)

    def _ask(self, request: Mapping[str, Any], seconds: float | None) -> Outcome:
        assert self._process.stdin is not None
        self._errors.seek(0)
        self._errors.truncate()
        self._process.stdin.write((json.dumps(request) + "\n").encode())
        self._process.stdin.flush()
        answer, late = self._answer(seconds), False
        if answer is None:
            late = True
            os.kill(self._child, signal.SIGKILL)
            answer = self._answer(None)
        died = answer if "died" in answer else self._answer(None) if answer["ends"] else None
        if died is not None:
            self._child = self._answer(None)["pid"]
        if late:
            return Outcome(Kind.HANG, f"no answer within {seconds:g} s")
        if "died" in answer:
            return Outcome(Kind.CRASH, answer["died"] + self._last_place())
        return Outcome(Kind(answer["kind"]), answer["reason"], answer["value"])

    def _answer(self, seconds: float | None) -> Any:
        """Return the next line; None if there is none in this time."""
        output = self._process.stdout
        assert output is not None
        if seconds is not None and not select.select([output], [], [], seconds)[0]:
            return None
        line = output.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"the worker ended: {self._errors.read()[-2000:].decode(errors='replace')}")
        return json.loads(line)

    def _last_place(self) -> str:
        """Return the project's line at which a child crashed, as far as it could say."""
        self._errors.seek(0)
        lines = [line for line in self._errors.read().decode(errors="replace").splitlines() if f'"{ROOT}/' in line]
        ours = [line for line in lines if "/tests/fuzz/" not in line] or lines
        return f" at {ours[0].strip().removeprefix('File ').replace(f'{ROOT}/', '')}" if ours else ""


def _fork_children(targets: Mapping[str, Target]) -> None:
    answers = os.dup(1)
    # What libraries print must not be taken for an answer.
    os.dup2(2, 1)
    while True:
        child = os.fork()
        if child == 0:
            _serve(targets, answers)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        died = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        _write(answers, {"died": died})


def _serve(targets: Mapping[str, Target], answers: int) -> None:
    """Answer requests until there are no more."""
    faulthandler.enable()
    warnings.filterwarnings("error", category=RuntimeWarning, module="edge_runtime")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESS_SPACE, used + ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _write(answers, {"pid": os.getpid()})
    while line := sys.stdin.readline():
        request = json.loads(line)
        target, folder = targets[request["target"]], Path(request["folder"])
        if request.get("system_errors"):
            target = replace(target, errors=(*target.errors, OSError))
        outcome = _run_here(target, folder, Path(request["file"])) if "file" in request else _make_here(target, folder)
        ends = outcome.kind is Kind.CRASH  # the peak of its memory would hide later ones
        _write(answers, {"kind": outcome.kind, "reason": outcome.reason, "value": outcome.value, "ends": ends})
        if ends:
            os._exit(1)


def _make_here(target: Target, folder: Path) -> Outcome:
    try:
        target.make(folder)
    except Exception as error:
        return Outcome(Kind.UNDOCUMENTED, f"{type(error).__name__}: {_short(error)}{_place(error)}")
    return Outcome(Kind.FINE)


def _run_here(target: Target, folder: Path, file: Path) -> Outcome:
    """Run a target in this process."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    peak = _peak()
    try:
        value = target.read(folder, file)
        outcome = Outcome(Kind.FINE, value=str(value) if target.compared and value is not None else None)
    except MemoryError as error:
        outcome = Outcome(Kind.CRASH, f"MemoryError{_place(error)}")
    except target.errors as error:
        outcome = _judge_message(target, folder, file, error)
    except BaseException as error:
        text = f": {_short(error)}" if str(error) else ""
        outcome = Outcome(Kind.UNDOCUMENTED, f"{type(error).__name__}{text}{_place(error)}")
    grown = _peak() - resident
    if _peak() > peak and grown > target.memory:
        return Outcome(Kind.CRASH, f"{grown / 2**30:.1f} GiB of memory ({outcome.kind}: {outcome.reason[:200]})")
    return outcome


def _judge_message(target: Target, folder: Path, file: Path, error: BaseException) -> Outcome:
    message, name = str(error), type(error).__name__
    if len(message) > MAX_MESSAGE:
        return Outcome(Kind.UNDOCUMENTED, f"{name} of more than {MAX_MESSAGE} characters{_place(error)}")
    if target.names_input and not any(part in message for part in (file.name, folder.name)):
        return Outcome(Kind.UNDOCUMENTED, f"{name} names no file: {_short(error)}{_place(error)}")
    return Outcome(Kind.CLEAR, f"{name}: {_short(error)}")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}…"


def _place(error: BaseException) -> str:
    """Return the last line of the project that an error passed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(ROOT))]
    ours = [frame for frame in frames if "/tests/" not in frame.filename] or frames
    return f" at {Path(ours[-1].filename).relative_to(ROOT)}:{ours[-1].lineno}" if ours else ""


def _write(descriptor: int, answer: Mapping[str, Any]) -> None:
    os.write(descriptor, (json.dumps(answer) + "\n").encode())


if __name__ == "__main__":
    _fork_children(importlib.import_module(sys.argv[1]).ALL)
