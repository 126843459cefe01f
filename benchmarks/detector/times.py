"""Time of a search of whole frames, all detectors in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from benchmarks.detector.detectors import NamedDetector
from benchmarks.results import Metric, median_metric
from benchmarks.timing import time_in_turn
from edge_runtime.detector import StreamDetector, search

TABLE = "time of a search"
WARM_UP = 2
"""Rounds before the measured ones."""


def compute_times(detectors: Sequence[NamedDetector], frames: Mapping[str, np.ndarray], runs: int) -> Iterator[Metric]:
    """Yield the processor time of one thread for each frame, by its name; and of one search of a stream if another."""
    calls: dict[tuple[str, str], Callable[[], object]] = {}
    for size, frame in frames.items():
        for each in detectors:
            calls[each.name, size] = partial(each.detector.detect, frame)
            if isinstance(each.detector, StreamDetector):
                calls[each.name, f"{size}, one search of a stream"] = partial(search, each.detector, frame, 0)
    for (name, column), times in time_in_turn(calls, runs, WARM_UP).items():
        yield median_metric(TABLE, name, column, times)
