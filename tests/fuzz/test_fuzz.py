"""Damaged files, hostile requests, and wild outputs show no fault. `make fuzz` tries more of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.fuzz.session import fuzz, shares
from tests.fuzz.targets import ALL
from tests.fuzz.worker import Worker

FEW, MANY = 150, 6000
"""Numbers of inputs of all targets together."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and peaks of memory are read as Linux has them")


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


def test_few_inputs_show_no_fault(worker: Worker) -> None:
    # One test, so that one process serves all targets.
    numbers = shares(ALL.values(), FEW)
    faults = [fault for name, target in ALL.items() for fault in fuzz(target, worker, numbers[name], seed=0).faults]
    assert faults == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_many_inputs_show_no_fault(worker: Worker, name: str) -> None:
    assert fuzz(ALL[name], worker, shares(ALL.values(), MANY)[name], seed=1).faults == []
