"""Signals that end a program."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Ctrl-C, the end by a service manager, a closed terminal, and Ctrl-Break of Windows."""


class StopSignals:
    """Signals to stop, of which the first one raises KeyboardInterrupt; made by `interrupt_once`."""

    def __init__(self) -> None:
        numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
        self._earlier: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
        self._handled = [number for number in numbers if self._earlier[number] not in (signal.SIG_IGN, None)]
        if threading.current_thread() is not threading.main_thread():
            self._handled = []  # Python handles signals in the main thread only
        self._waiting = self._ignored = False
        self._holds: float = 0
        """Number of signals that wait."""

    def watch(self) -> None:
        """Take the signals, except those ignored so far, as by `nohup`."""
        for number in self._handled:
            signal.signal(number, self._stop)

    def ignore(self) -> None:
        """Ignore signals from now on."""
        self._ignored = True  # not SIG_IGN: Python complains about a signal that came just before

    def restore(self) -> None:
        """Return the signals to their earlier handlers."""
        for number in self._handled:
            signal.signal(number, self._earlier[number])

    @contextlib.contextmanager
    def hold(self, at_most_one: bool = False) -> Iterator[None]:
        """Let signals wait until the end of the block, or only the first one, where the block may never end."""
        self._holds = 1 if at_most_one else math.inf
        try:
            yield
        finally:
            self._holds = 0
        if self._waiting and not self._ignored:
            self._interrupt()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._holds:
            self._holds -= 1
            self._waiting = True
        elif not self._ignored:
            self._interrupt()

    def _interrupt(self) -> None:
        self.ignore()
        raise KeyboardInterrupt


@contextlib.contextmanager
def interrupt_once() -> Iterator[StopSignals]:
    """Raise KeyboardInterrupt at the first signal to stop; ignore later ones, so that files can be closed.

    Signals that were ignored before, as by `nohup`, stay ignored. On exit the earlier handlers are restored. The value
    lets signals wait, or ignores them from then on.
    """
    signals = StopSignals()
    try:
        signals.watch()
        yield signals
    finally:
        signals.restore()
