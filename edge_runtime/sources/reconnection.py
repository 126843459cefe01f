"""Network cameras that stop and return."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator

from edge_runtime.errors import SourceError
from edge_runtime.sources.source import Frame, Source

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each attempt to open a stream again. A restarting camera or access point needs half a minute."""
_log = logging.getLogger(__name__)


class ReconnectingSource(Source):
    """Live stream that is opened again when it stops. Indices and times go on: those of the gap are left out.

    It waits in the thread of its consumer; `LatestFrames` reads it in a thread of its own.
    """

    live = True

    def __init__(self, source: Source, reopen: Callable[[], Source]) -> None:
        """Take ownership of an opened source, and a function that opens it anew or raises SourceError."""
        self.fps = source.fps
        self._source, self._reopen = source, reopen
        self._start = time.monotonic()

    def __iter__(self) -> Iterator[Frame]:
        first, delay = 0, 0.0
        while True:
            index = first
            try:
                for frame in self._source:
                    index = first + frame.index
                    yield dataclasses.replace(frame, index=index, timestamp=delay + frame.timestamp)
                return
            except SourceError as error:
                self._source.close()
                self._source = self._opened_again(error)
            first, delay = index + 1, time.monotonic() - self._start

    def _opened_again(self, stopped: SourceError) -> Source:
        """Return the source of the first attempt that succeeds. SourceError, the first one, if none does."""
        _log.warning("%s; opening it again", stopped)
        began = time.monotonic()
        for pause in PAUSES:
            time.sleep(pause)
            try:
                source = self._reopen()
            except SourceError as error:
                _log.info("%s", error)
                continue
            _log.warning("the stream is back after %.0f s", time.monotonic() - began)
            return source
        raise stopped

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._source.close()
