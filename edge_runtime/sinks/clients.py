"""The clients of the WebSocket server, in one thread: who is accepted, what each gets, and who is dropped."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from websockets.datastructures import Headers

from edge_runtime.sinks.access import AccessRule
from edge_runtime.sinks.client import Client

MAX_CLIENTS = 32
"""Maximum number of clients that get frames. Each costs memory for a frame, and time for each frame."""
MAX_CONNECTIONS = MAX_CLIENTS + 8
"""Maximum number of connections, with those that ask and those that end. Further ones wait in the system's queue."""
MAX_WARNINGS = 5
"""Maximum number of different refusals that are warned of; the others are logged as information."""
SEND_BUFFER_BYTES = 2**18
"""Size of the system's buffer for each client. A larger one would fill with frames that are old when they arrive."""
_CHECK_SECONDS = 1.0
"""Maximum time between two checks of the deadlines."""
_log = logging.getLogger(__name__)


class Clients:
    """All who are connected to a listening socket. `serve` runs in a thread of its own; other threads send."""

    def __init__(self, listener: socket.socket, rule: AccessRule) -> None:
        """Take ownership of the listening socket."""
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # connections inherit it
        self._listener, self._rule = listener, rule
        self._wakeup, self._waker = socket.socketpair()
        self._wakeup.setblocking(False)
        self._waker.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._clients: set[Client] = set()
        self._accept_from = 0.0
        """Time from which connections are accepted again."""
        self._warned: set[str] = set()
        """Refusals that were warned of."""
        self._lock = threading.Lock()
        self._text, self._number = b"", 0
        self._end: float | None = None
        """Time by which all must be closed; None while the server runs."""

    def send(self, text: str) -> None:
        """Send a text to every client that has taken the earlier ones; to the others the newest one, once they have."""
        with self._lock:
            self._text, self._number = text.encode(), self._number + 1
        self._wake()

    def close(self, seconds: float) -> None:
        """End `serve`, and the connections; do not wait for clients longer than this."""
        with self._lock:
            self._end = time.monotonic() + seconds
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full, so the thread will wake up; or closed
            self._waker.send(b"\0")

    def serve(self) -> None:
        """Serve the clients until `close`."""
        try:
            while self._end is None:
                self._watch_listener()
                self._turn(_CHECK_SECONDS)
                self._send_newest()
            self._watch_listener()
            self._send_newest()  # the last frame may have come with the end
            for client in list(self._clients):
                if client.is_open:
                    self._attempt(client, client.end)
                else:
                    self._drop(client)
            while self._clients and (left := self._end - time.monotonic()) > 0:
                self._turn(left)
        finally:
            for client in list(self._clients):
                self._drop(client)
            self._selector.close()
            for end in (self._listener, self._wakeup, self._waker):
                end.close()

    def _turn(self, seconds: float) -> None:
        """Wait at most this long for something to do, and do it."""
        for key, events in self._selector.select(seconds):
            if isinstance(client := key.data, Client):
                self._attempt(client, client.flush if events & selectors.EVENT_WRITE else client.receive)
            elif key.fileobj is self._listener:
                self._accept()
            else:
                self._wakeup.recv(4096)
        now = time.monotonic()
        for client in [each for each in self._clients if each.deadline < now]:
            self._drop(client)

    def _watch_listener(self) -> None:
        """Listen for connections if another one may come."""
        wanted = self._end is None and len(self._clients) < MAX_CONNECTIONS and time.monotonic() >= self._accept_from
        if wanted and self._listener not in self._selector.get_map():
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif not wanted and self._listener in self._selector.get_map():
            self._selector.unregister(self._listener)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return  # it left already
        except OSError as error:  # no more files may be open
            self._accept_from = time.monotonic() + _CHECK_SECONDS
            _log.info("cannot accept a connection: %s", error)
            return
        client = Client(connection, self._refuse)
        self._clients.add(client)
        self._selector.register(connection, client.events, client)

    def _refuse(self, headers: Headers) -> tuple[HTTPStatus, str] | None:
        refusal, status = self._rule.refusal(headers.get_all("Host"), headers.get_all("Origin")), HTTPStatus.FORBIDDEN
        if refusal is None and sum(client.is_open for client in self._clients) >= MAX_CLIENTS:
            refusal, status = f"{MAX_CLIENTS} clients are connected: close one", HTTPStatus.SERVICE_UNAVAILABLE
        if refusal is None:
            return None
        # A page may try again and again, and under many names.
        is_new = refusal not in self._warned and len(self._warned) < MAX_WARNINGS
        if is_new:
            self._warned.add(refusal)
        _log.log(logging.WARNING if is_new else logging.INFO, "refused a WebSocket client: %s", refusal)
        return status, f"{refusal}\n"

    def _send_newest(self) -> None:
        with self._lock:
            text, number = self._text, self._number
        for client in list(self._clients):
            if client.is_ready and client.frame != number:
                self._attempt(client, partial(client.send, text, number))

    def _attempt(self, client: Client, action: Callable[[], None]) -> None:
        """Act for a client; drop it if that fails."""
        try:
            action()
            self._selector.modify(client.socket, client.events, client)
        except Exception as error:  # the library's, too: one client must not end the others
            _log.info("dropped a WebSocket client: %s", error)
            self._drop(client)

    def _drop(self, client: Client) -> None:
        self._clients.discard(client)
        self._selector.unregister(client.socket)
        client.socket.close()
