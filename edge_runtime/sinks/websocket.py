"""WebSocket server that sends results as JSON."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

from edge_runtime.errors import SinkError
from edge_runtime.face import Face
from edge_runtime.sinks.access import AccessRule
from edge_runtime.sinks.address import format_address, resolve
from edge_runtime.sinks.results import Sink, frame_to_json
from edge_runtime.sources.source import Frame

CLOSING_SECONDS = 0.5
"""Maximum time to wait for the clients to answer the end."""


class WebSocketSink(Sink):
    """WebSocket server that sends the newest frame to every client, as JSON (see `sinks.frame_to_json`).

    Slow clients miss frames. Pages of other machines are refused (see `AccessRule`). What clients send is ignored.
    Requires the `websocket` extra.
    """

    def __init__(self, port: int, host: str = "127.0.0.1", origins: Sequence[str] = ()) -> None:
        """Start the server.

        Args:
            port: Port to listen on; 0: a free one.
            host: Address to listen on; 0.0.0.0 or :: accepts other machines.
            origins: Further pages that may read the results, as `https://example.org`; `null` for pages opened as
                files.

        Raises:
            SinkError: The port or the library is unavailable, or the host is unknown.
            ValueError: An origin is invalid.
        """
        try:
            from edge_runtime.sinks.clients import Clients
        except ImportError as error:
            raise SinkError("websockets is not installed: pip install 'atpn[websocket]'") from error
        rule = AccessRule(host, origins)
        family, address = resolve(host, port, socket.SOCK_STREAM)
        try:
            both = host == "::" and socket.has_dualstack_ipv6()
            listener = socket.create_server(address[:2], family=family, dualstack_ipv6=both)
        except OSError as error:
            raise SinkError(f"cannot listen on {format_address(host, port)}: {error.strerror}") from error
        self.port = int(listener.getsockname()[1])
        """Port of the server; a free one if 0 was given."""
        self._clients = Clients(listener, rule)
        self._thread = threading.Thread(target=self._clients.serve, daemon=True)
        self._thread.start()

    def write(self, frame: Frame, faces: Sequence[Face]) -> None:
        """See `Sink.write`."""
        self._clients.send(frame_to_json(frame, faces))

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._clients.close(CLOSING_SECONDS)
        self._thread.join(2 * CLOSING_SECONDS)
