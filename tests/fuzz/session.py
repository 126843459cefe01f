"""Runs many inputs of a target and counts the outcomes."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from tests.fuzz.outcome import Kind, Outcome
from tests.fuzz.target import Target
from tests.fuzz.worker import Worker

SPECIAL_FILES: Mapping[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
    "a link to nothing": lambda path: path.symlink_to("missing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}
"""What may stand in the place of a file. A reader must not wait for a pipe, nor read a device to its end."""
MAX_SAVED = 3
"""Maximum number of inputs that are saved per reason."""


@dataclass
class Row:
    """What the inputs of one target gave."""

    target: str
    tried: int = 0
    outcomes: Counter[Kind] = field(default_factory=Counter)
    reasons: dict[tuple[Kind, str], list[str]] = field(default_factory=dict)
    """Faults by kind and reason without its numbers: an example's whole reason, and where inputs are saved."""
    occurrences: Counter[tuple[Kind, str]] = field(default_factory=Counter)

    def add(self, outcome: Outcome, save: Callable[[], Path | None]) -> None:
        """Count an outcome; `save` is called for the first faults of each reason."""
        self.tried += 1
        self.outcomes[outcome.kind] += 1
        if not outcome.kind.is_fault:
            return
        key = outcome.kind, _signature(outcome.reason)
        self.occurrences[key] += 1
        known = self.reasons.setdefault(key, [outcome.reason])
        if len(known) <= MAX_SAVED and (path := save()) is not None:
            known.append(str(path))

    @property
    def faults(self) -> list[str]:
        """A line per reason, the most frequent first."""
        return [
            f"{self.target}: {kind} x {count}: {' '.join(self.reasons[kind, reason])}"
            for (kind, reason), count in self.occurrences.most_common()
        ]


@contextlib.contextmanager
def prepared(target: Target, worker: Worker) -> Iterator[Path]:
    """Make a folder of the target's valid files."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "valid-files")
        folder.mkdir()
        worker.make(target, folder)
        yield folder


def fuzz(target: Target, worker: Worker, inputs: int, seed: int, save: Path | None = None) -> Row:
    """Try the valid files and a number of damaged ones. AssertionError if there is no file."""
    row = Row(target.name)
    with prepared(target, worker) as folder:
        valid = {file: file.read_bytes() for file in sorted(folder.glob(target.files)) if file.is_file()}
        assert valid, f"{target.name} has no files {target.files}"
        values = {}
        for file in list(valid):
            outcome = worker.read(target, folder, file)
            values[file] = outcome.value
            if outcome.kind is not Kind.FINE:
                wrong = f"the valid {file.name} is refused: {outcome.kind}: {outcome.reason}"
                row.add(Outcome(Kind.UNDOCUMENTED, wrong), lambda: None)
                del valid[file]  # what is made of it says nothing
        if not valid:
            return row

        if target.special:
            _try_special_files(target, worker, folder, min(valid), row)

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=inputs,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=tuple(HealthCheck),
        )
        @hypothesis.given(_damaged(target, valid))
        def attempt(given: tuple[Path, bytes]) -> None:
            file, content = given
            file.write_bytes(content)
            try:
                outcome = worker.read(target, folder, file)
            finally:
                file.write_bytes(valid[file])
            outcome = _compared(outcome, values[file], file)
            row.add(outcome, lambda: _save(save, row, file.relative_to(folder), content))

        attempt()
    return row


def _try_special_files(target: Target, worker: Worker, folder: Path, file: Path, row: Row) -> None:
    """Try what is no regular file in the place of a file. Errors of the system are documented for these."""
    kept = file.read_bytes()
    for what, put in SPECIAL_FILES.items():
        file.unlink()
        put(file)
        outcome = worker.read(target, folder, file, system_errors=True)
        if file.is_dir():
            file.rmdir()
        else:
            file.unlink()
        file.write_bytes(kept)
        row.add(replace(outcome, reason=f"{what}: {outcome.reason}"), lambda: None)


def replay(target: Target, worker: Worker, saved: Path) -> Outcome:
    """Try a saved input again; `saved` is the folder that holds it."""
    with prepared(target, worker) as folder:
        (relative,) = (file.relative_to(saved) for file in saved.rglob("*") if file.is_file())
        value = worker.read(target, folder, folder / relative).value
        (folder / relative).write_bytes((saved / relative).read_bytes())
        outcome = worker.read(target, folder, folder / relative)
    return _compared(outcome, value, relative)


def _compared(outcome: Outcome, expected: str | None, file: Path) -> Outcome:
    """Return the outcome, or a silent difference if the input was accepted with another result."""
    if None in (outcome.value, expected) or outcome.value == expected:
        return outcome
    return Outcome(Kind.SILENT, f"another result of a damaged {file.name}")


def shares(targets: Iterable[Target], inputs: int) -> dict[str, int]:
    """Divide a number of inputs among targets by their weights; each gets at least one."""
    weights = {target.name: target.weight for target in targets}
    return {name: max(1, round(inputs * weight / sum(weights.values()))) for name, weight in weights.items()}


def _damaged(target: Target, valid: dict[Path, bytes]) -> st.SearchStrategy[tuple[Path, bytes]]:
    strategies = {file: target.mutate(content) for file, content in valid.items()}
    return st.sampled_from(sorted(valid)).flatmap(lambda file: st.tuples(st.just(file), strategies[file]))


def _save(folder: Path | None, row: Row, relative: Path, content: bytes) -> Path | None:
    if folder is None:
        return None
    saved = folder / row.target.replace(" ", "-") / f"{row.tried:06d}"
    (saved / relative).parent.mkdir(parents=True, exist_ok=True)
    (saved / relative).write_bytes(content)
    return saved


def _signature(reason: str) -> str:
    """Return the exception and its place, or the reason without its numbers and quotations."""
    name, _, rest = reason.partition(":")
    place = re.search(r" at (\S+:\d+)$", rest)
    return f"{name}{place[0]}" if place else re.sub(r"\d+|'[^']*'|/\S+", "#", reason)[:120]
