"""Timing of calls in the same process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


def clock_for(threads: int) -> Callable[[], float]:
    """Return a clock in seconds: of one thread its processor time, which other load does not change; else wall time."""
    return time.thread_time if threads == 1 else time.perf_counter


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Return the milliseconds of processor time of this thread, and the result."""
    began = time.thread_time()
    result = call()
    return (time.thread_time() - began) * 1e3, result


def time_in_turn(
    calls: Mapping[K, Callable[[], object]],
    runs: int,
    warm_up: int,
    clock: Callable[[], float] = time.thread_time,
    twice: bool = False,
) -> dict[K, list[float]]:
    """Return milliseconds of each call for `runs` rounds, all calls in turn, so that drift affects all alike.

    With `twice`, each call runs twice in a row and the second counts, as in a program that does nothing else; without,
    each finds the caches as the call before leaves them.
    """
    samples: dict[K, list[float]] = {name: [] for name in calls}
    for _ in range(warm_up + runs):
        for name, call in calls.items():
            if twice:
                call()
            began = clock()
            call()
            samples[name].append((clock() - began) * 1e3)
    return {name: times[warm_up:] for name, times in samples.items()}
