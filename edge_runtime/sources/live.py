"""The newest frame of a live source."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator
from typing import Self

from edge_runtime.sources.source import Frame, Source

CLOSING_SECONDS = 0.5
"""Maximum time to wait for a read in progress when a source is closed."""
_log = logging.getLogger(__name__)


class LatestFrames(Source):
    """The newest frames of a live source; older ones are dropped if the consumer is slow.

    A thread reads frames from `__enter__`, or the first iteration, until the loop or the context ends. A frame is
    never older than the one that the source gave last when the consumer asked. Frames keep their indices, and
    `Frame.dropped` counts those in between. `open_source` returns live sources in this form.
    """

    live = True

    def __init__(self, source: Source) -> None:
        """Take ownership of an opened source."""
        self.fps = source.fps
        self._source = source
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self._last_index = -1
        self._error: Exception | None = None
        self._open = True
        self._reader: threading.Thread | None = None

    def _read(self) -> None:
        # Only this thread uses the device, so only it can release it safely.
        with self._source:
            error: Exception | None = None
            try:
                for frame in self._source:
                    with self._condition:
                        if not self._open:
                            return
                        self._frame = frame
                        self._condition.notify()
            except Exception as failure:  # raised in the consumer
                error = failure
            with self._condition:
                self._error, self._open = error, False
                self._condition.notify()

    def _start(self) -> None:
        if self._reader is None and self._open:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _stop(self) -> None:
        with self._condition:
            self._open = False
        if self._reader is None:
            self._source.__exit__(None, None, None)
            return
        self._reader.join(CLOSING_SECONDS)
        if self._reader.is_alive():
            _log.info("the source does not answer; it will be released when its read returns")

    def _next(self) -> Frame | None:
        """Wait for the next frame; None at the end."""
        with self._condition:
            while self._frame is None and self._open:
                self._condition.wait(0.5)  # Windows handles signals in between only
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return frame

    def __iter__(self) -> Iterator[Frame]:
        self._start()
        try:
            while (frame := self._next()) is not None:
                dropped = frame.index - self._last_index - 1
                self._last_index = frame.index
                yield dataclasses.replace(frame, dropped=dropped)
        finally:
            self._stop()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._stop()
