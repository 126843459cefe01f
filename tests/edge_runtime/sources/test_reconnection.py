"""Network cameras that stop and return."""

import numpy as np
import pytest

from edge_runtime.errors import SourceError
from edge_runtime.sources import Frame, Source, open_source, reconnection
from edge_runtime.sources.live import LatestFrames
from edge_runtime.sources.reconnection import PAUSES, ReconnectingSource
from edge_runtime.sources.videos import VideoSource


class Stream(Source):
    """A live stream of so many frames, a second apart."""

    live, fps = True, 15.0

    def __init__(self, frames, clock):
        self.frames, self.clock, self.closed = frames, clock, False

    def __iter__(self):
        start = self.clock.now
        for index in range(self.frames):
            yield Frame(np.zeros((2, 2, 3), np.uint8), self.clock.now - start, index)
            self.clock.now += 1
        raise SourceError("rtsp://cam stopped giving frames; check its connection")

    def __exit__(self, kind, error, trace):
        self.closed = True


class Clock:
    """The module's clock; sleeping takes no time."""

    def __init__(self):
        self.now, self.sleeps = 100.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.sleeps.append(seconds)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(reconnection, "time", clock)
    return clock


def test_a_stream_that_returns_goes_on_with_its_indices_and_times(clock, caplog):
    streams = [Stream(3, clock), Stream(2, clock)]
    first, second = streams
    outcomes = [SourceError("no answer"), second, *[SourceError("no answer")] * 5]

    def reopen():
        assert first.closed, "cameras may allow one connection only"
        if isinstance(outcome := outcomes.pop(0), SourceError):
            raise outcome
        return outcome

    source = ReconnectingSource(first, reopen)
    frames = []
    with pytest.raises(SourceError, match="rtsp://cam stopped giving frames"), source:
        frames.extend(source)
    assert source.fps == 15
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.timestamp for frame in frames] == [0, 1, 2, 6, 7], "3 s of frames, and pauses of 1 s and 2 s"
    assert clock.sleeps == [1.0, 2.0, *PAUSES]
    assert second.closed
    assert outcomes == []
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "rtsp://cam stopped giving frames; check its connection; opening it again",
        "the stream is back after 3 s",
        "rtsp://cam stopped giving frames; check its connection; opening it again",
    ]


def test_only_live_streams_are_opened_again(monkeypatch, clock):
    opened = []

    def stream(url):
        opened.append(url)
        if len(opened) > 2:
            raise SourceError("no answer")
        made = Stream(1, clock)
        made.live = url.startswith("rtsp")
        return made

    monkeypatch.setattr(VideoSource, "stream", stream)
    source = open_source("rtsp://cam")
    assert isinstance(source, LatestFrames)
    with pytest.raises(SourceError, match="stopped giving frames"):
        list(source)
    assert opened == ["rtsp://cam"] * 7
    opened.clear()
    with pytest.raises(SourceError):
        list(open_source("http://cam/clip.mp4"))
    assert opened == ["http://cam/clip.mp4"]
