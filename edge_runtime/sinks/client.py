"""One client of the WebSocket server: its socket, and the protocol's state."""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import socket
import time
from collections.abc import Callable
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

HANDSHAKE_SECONDS = 5.0
"""Maximum time for a request to arrive."""
STALL_SECONDS = 10.0
"""Maximum time in which a client takes nothing of a frame; then it is dropped."""
FAREWELL_SECONDS = 1.0
"""Maximum time in which a client answers the end of a connection."""
MAX_MESSAGE_BYTES = 1024
"""Maximum size of a client's message. All are ignored, so none has a reason to be long."""
MAX_BYTES_PER_SECOND = 2**15
"""Maximum number of bytes that a client may send within a second. Parsing them takes time."""
_RECEIVE_BYTES = 2**13
_log = logging.getLogger(f"{__name__}.protocol")
"""Log of the library, which would print a traceback for what any client does wrong."""
_log.setLevel(logging.CRITICAL)

Refuse = Callable[[Headers], tuple[HTTPStatus, str] | None]
"""Status and text of the answer to a request that is refused; None for one that is accepted."""


class Client:
    """A connection, from the request to the end. No method waits. OSError says that the connection is lost."""

    def __init__(self, connection: socket.socket, refuse: Refuse) -> None:
        """Take ownership of a socket, and the rule that answers its request."""
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # it is lost already, which the first read will say
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self.frame = 0
        """Number of the last frame that was sent."""
        self.deadline = time.monotonic() + HANDSHAKE_SECONDS
        """Time by which the client must have done what is awaited of it; infinite if that is nothing."""
        self._refuse = refuse
        self._protocol = ServerProtocol(max_size=MAX_MESSAGE_BYTES, logger=_log)
        self._output = bytearray()
        self._ends = False
        """Nothing follows the output."""
        # Bytes received in the present window of a second, and its end.
        self._received, self._window_end = 0, time.monotonic() + 1

    @property
    def is_open(self) -> bool:
        """Whether the client was accepted, and neither side ended the connection."""
        return self._protocol.state is OPEN and not self._ends

    @property
    def is_ready(self) -> bool:
        """Whether the client has taken all that was sent, and may have a frame."""
        return self.is_open and not self._output

    @property
    def events(self) -> int:
        """What to wait for. A client that does not read is not listened to, so that answers to it do not pile up."""
        return selectors.EVENT_WRITE if self._output else selectors.EVENT_READ

    def receive(self) -> None:
        """Answer the client's request; ignore its messages. ConnectionError if it left, or sends too much."""
        try:
            data = self.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionResetError("it closed the connection")
        if (now := time.monotonic()) > self._window_end:
            self._received, self._window_end = 0, now + 1
        self._received += len(data)
        if self._received > MAX_BYTES_PER_SECOND:
            raise ConnectionAbortedError("it sends too much")
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._answer(event)
        self.flush()

    def _answer(self, request: Request) -> None:
        refusal = self._refuse(request.headers)
        response = self._protocol.accept(request) if refusal is None else self._protocol.reject(*refusal)
        self._protocol.send_response(response)

    def send(self, text: bytes, number: int) -> None:
        """Send a frame's text. The client must be ready."""
        self._protocol.send_text(text)
        self.frame = number
        self.flush()

    def end(self) -> None:
        """Tell the client, which is open, that nothing follows."""
        self._protocol.send_close(1001)  # "going away"
        self.flush()

    def flush(self) -> None:
        """Send as much of the output as the client takes."""
        new = False
        for data in self._protocol.data_to_send():
            new = True
            self._output += data
            self._ends = self._ends or not data  # the protocol's sign of the end
        taken = 0
        if self._output:
            with contextlib.suppress(BlockingIOError):
                taken = self.socket.send(self._output)
                del self._output[:taken]
        if self._output:
            if new or taken:
                self.deadline = time.monotonic() + STALL_SECONDS
        elif self._ends:
            if new or taken:
                self.socket.shutdown(socket.SHUT_WR)
                self.deadline = time.monotonic() + FAREWELL_SECONDS
        elif self.is_open:
            self.deadline = math.inf
