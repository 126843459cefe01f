"""The harness finds each kind of fault in readers that have it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import faulty
from tests.fuzz.__main__ import table
from tests.fuzz.outcome import Kind, Outcome
from tests.fuzz.session import SPECIAL_FILES, Row, fuzz, replay, shares
from tests.fuzz.worker import Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and peaks of memory are read as Linux has them")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker("tests.fuzz.faulty") as worker:
        yield worker


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("fine", Kind.FINE, ""),
        ("prints", Kind.FINE, ""),
        ("compares nothing", Kind.FINE, ""),
        ("refuses", Kind.CLEAR, ""),
        ("raises another error", Kind.UNDOCUMENTED, "KeyError: 'key' at tests/fuzz/faulty.py:"),
        ("says too much", Kind.UNDOCUMENTED, "ValueError of more than 2000 characters"),
        ("names no file", Kind.UNDOCUMENTED, "ValueError names no file: it is damaged"),
        ("breaks a property", Kind.UNDOCUMENTED, "PropertyError: a property does not hold"),
        ("aborts", Kind.CRASH, 'SIGABRT at "tests/fuzz/faulty.py", line'),
        ("leaves", Kind.CRASH, "exit 3"),
        ("fills the memory", Kind.CRASH, "0.2 GiB of memory (accepted: )"),
        ("asks for too much", Kind.CRASH, "MemoryError at tests/fuzz/faulty.py:"),
        ("hangs", Kind.HANG, "no answer within 1 s"),
        ("accepts", Kind.SILENT, "another result of a damaged input.bin"),
    ],
)
def test_fuzz_gives_the_kind_of_each_fault(worker: Worker, tmp_path: Path, name: str, kind: Kind, reason: str) -> None:
    target = faulty.ALL[name]
    row = fuzz(target, worker, 2, seed=0, save=tmp_path)
    assert row.outcomes == {kind: 2}
    assert kind.is_fault == bool(row.faults)
    assert all(f"{name}: {kind} x 2: {reason}" in fault for fault in row.faults)
    if kind.is_fault:
        assert replay(target, worker, min(tmp_path.glob("*/*"))).kind is kind


def test_fuzz_tries_special_files_and_restores_the_file(worker: Worker) -> None:
    row = fuzz(faulty.ALL["takes regular files"], worker, 3, seed=0)
    assert row.outcomes == {Kind.CLEAR: len(SPECIAL_FILES), Kind.FINE: 3}


def test_fuzz_repeats_the_inputs_of_a_seed(worker: Worker, tmp_path: Path) -> None:
    def inputs(seed: int, name: str) -> list[bytes]:
        fuzz(faulty.ALL["names no file"], worker, 3, seed, tmp_path / name)
        return [file.read_bytes() for file in sorted((tmp_path / name).rglob("input.bin"))]

    first = inputs(1, "first")
    assert len(set(first)) == 3
    assert first == inputs(1, "second") != inputs(2, "third")


def test_table_has_each_input_in_one_column() -> None:
    row = Row("reader")
    for kind in Kind:
        row.add(Outcome(kind, "reason"), lambda: None)
    head, _, cells, sums = ([cell.strip() for cell in line.split("|")] for line in table([row]).splitlines())
    assert head == ["target", "inputs tried", *Kind]
    assert cells == ["reader", str(len(Kind)), *["1"] * len(Kind)]
    assert sums[1:] == cells[1:]


def test_shares_follow_the_weights() -> None:
    assert set(shares(faulty.ALL.values(), 150).values()) == {10}
    assert set(shares(faulty.ALL.values(), 1).values()) == {1}
