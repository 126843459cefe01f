"""The newest frame of a live source."""

import queue
import threading

import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.sources import Frame
from edge_runtime.sources.live import LatestFrames


class Ticking:
    """A live source whose frames the test triggers."""

    fps, stills, length, expected, live = 30.0, False, None, None, True

    def __init__(self):
        self.queue = queue.Queue()
        self.taken = threading.Semaphore(0)
        self.closed_by = None

    def __iter__(self):
        index = 0
        while (item := self.queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield Frame(item, index / 30, index)
            index += 1
            self.taken.release()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.closed_by = threading.current_thread()

    def tick(self, count):
        for _ in range(count):
            self.queue.put(np.zeros((2, 2, 3), np.uint8))
        for _ in range(count):
            assert self.taken.acquire(timeout=60)


def test_latest_frames_drops_older_frames():
    source = Ticking()
    with LatestFrames(source) as latest:
        frames = iter(latest)
        source.tick(1)
        first = next(frames)
        assert (first.index, first.dropped) == (0, 0)
        source.tick(5)
        newest = next(frames)
        assert (newest.index, newest.dropped) == (5, 4), "four were dropped while the loop was busy"
        source.queue.put(None)
        assert list(frames) == []
    latest._reader.join(timeout=60)
    assert source.closed_by is latest._reader


def test_latest_frames_raises_the_sources_error():
    source = Ticking()
    with LatestFrames(source) as latest:
        source.tick(1)
        source.queue.put(SourceError("camera 0 stopped giving frames"))
        with pytest.raises(SourceError, match="stopped giving frames"):
            list(latest)
    latest._reader.join(timeout=60)
    assert source.closed_by is latest._reader


def test_latest_frames_stops_reading_on_exit():
    source = Ticking()
    with LatestFrames(source) as latest:
        source.tick(1)
        next(iter(latest))
        source.queue.put(np.zeros((2, 2, 3), np.uint8))
    source.queue.put(np.zeros((2, 2, 3), np.uint8))
    latest._reader.join(timeout=60)
    assert not latest._reader.is_alive()

    assert source.closed_by is latest._reader


def test_a_source_whose_read_hangs_is_not_released_under_it(monkeypatch):
    monkeypatch.setattr("edge_runtime.sources.live.CLOSING_SECONDS", 0.0)
    source = Ticking()
    with LatestFrames(source) as latest:
        source.tick(1)
        next(iter(latest))
    assert source.closed_by is None, "the reader still waits in its source"
    source.queue.put(None)
    latest._reader.join(timeout=60)
    assert source.closed_by is latest._reader


def test_a_loop_without_a_context_starts_and_stops_the_reader():
    source = Ticking()
    source.queue.put(np.zeros((2, 2, 3), np.uint8))
    latest = LatestFrames(source)
    for frame in latest:
        assert frame.index == 0
        source.queue.put(None)
        break
    latest._reader.join(timeout=60)
    assert source.closed_by is latest._reader


def test_a_source_that_was_never_read_is_released():
    source = Ticking()
    LatestFrames(source).__exit__(None, None, None)
    assert source.closed_by is threading.current_thread()


def test_the_error_does_not_wait_for_a_release_that_hangs():
    released = threading.Event()

    class Hanging(Ticking):
        def __exit__(self, kind, error, trace):
            released.wait(60)

    source = Hanging()
    source.queue.put(SourceError("camera 0 stopped giving frames"))
    latest = LatestFrames(source)
    with pytest.raises(SourceError, match="stopped giving frames"):
        next(iter(latest))
    released.set()
