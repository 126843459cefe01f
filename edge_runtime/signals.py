"""Signals that end a program."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Ctrl-C, the end by a service manager, a closed terminal, and Ctrl-Break of Windows."""


@contextlib.contextmanager
def interrupt_once() -> Iterator[Callable[[], None]]:
    """Raise KeyboardInterrupt at the first signal to stop; ignore later ones, so that files can be closed.

    Signals that were ignored before, as by `nohup`, stay ignored. On exit the earlier handlers are restored. The value
    is a function that ignores signals from then on.
    """
    numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
    earlier: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    handled = [number for number in numbers if earlier[number] not in (signal.SIG_IGN, None)]
    if threading.current_thread() is not threading.main_thread():
        handled = []  # Python handles signals in the main thread only

    def ignore() -> None:
        for number in handled:
            signal.signal(number, signal.SIG_IGN)

    def stop(number: int, frame: FrameType | None) -> None:
        ignore()
        raise KeyboardInterrupt

    for number in handled:
        signal.signal(number, stop)
    try:
        yield ignore
    finally:
        for number in handled:
            signal.signal(number, earlier[number])
