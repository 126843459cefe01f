"""Raw bytes to a real WebSocket server, and addresses as users give them."""

from __future__ import annotations

import functools
import json
import socket
from pathlib import Path

from edge_runtime import WebSocketSink
from edge_runtime.webcam import WebcamConfig
from tests.fuzz.mutations import of_bytes, of_text
from tests.fuzz.outcome import check
from tests.fuzz.target import Target, logged

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{{}}\r\n"
)
TEXT_FRAME = b"\x81\x85\x01\x02\x03\x04" + bytes(a ^ b for a, b in zip(b"hello", b"\x01\x02\x03\x04\x01", strict=True))
CLOSE_FRAME = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
HEAD_END = b"\r\n\r\n"
FOREIGN = {
    "foreign.bin": b"\r\nOrigin: https://evil.example\r\n",
    "rebound.bin": b"\r\nHost: evil.example:8765\r\n",
}
"""Files whose handshake must not be answered, and the header that says why."""
ADDRESSES = ("8765", "127.0.0.1:8765", "localhost:9000", "[::1]:8765", "0.0.0.0:1")
_PATIENCE = 5.0
"""Time in which a server must answer or close, seconds."""


@functools.cache
def _server() -> WebSocketSink:
    return WebSocketSink(0)


def _exchange(data: bytes) -> bytes:
    """Send bytes and return the head of the server's answer, or nothing if it closes the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", _server().port), timeout=_PATIENCE) as connection:
        try:
            connection.sendall(data)
            if HEAD_END not in data:
                connection.shutdown(socket.SHUT_WR)  # the server would wait for the rest
            while HEAD_END not in answer and (part := connection.recv(65_536)):
                answer += part
        except ConnectionError:
            pass  # the server may close at the first wrong byte
    return answer


def _make_handshakes(folder: Path) -> None:
    plain = HANDSHAKE.format("").encode()
    (folder / "native.bin").write_bytes(plain + CLOSE_FRAME)
    (folder / "frames.bin").write_bytes(plain + TEXT_FRAME + TEXT_FRAME + CLOSE_FRAME)
    origin = HANDSHAKE.format("Origin: http://localhost:8000\r\n").encode()
    (folder / "browser.bin").write_bytes(origin + CLOSE_FRAME)
    foreign = HANDSHAKE.format(FOREIGN["foreign.bin"].decode().lstrip())
    (folder / "foreign.bin").write_text(foreign, newline="")
    rebound = plain.replace(b"\r\nHost: 127.0.0.1:8765\r\n", FOREIGN["rebound.bin"])
    (folder / "rebound.bin").write_bytes(rebound)


def _shake_hands(_: Path, file: Path) -> None:
    data = file.read_bytes()
    with logged() as messages:
        answer = _exchange(data)
        fine = _exchange(HANDSHAKE.format("").encode())
    # The header may be damaged, too.
    header = FOREIGN.get(file.name)
    foreign = header is not None and header in data.partition(HEAD_END)[0] + b"\r\n"
    check(not (foreign and answer.startswith(b"HTTP/1.1 101")), f"{header!r} is let in")
    check(fine.startswith(b"HTTP/1.1 101"), f"the next client is refused: {fine[:80]!r}")
    check("Traceback" not in " ".join(messages), f"a traceback is logged: {' '.join(messages)[-200:]}")


def _make_addresses(folder: Path) -> None:
    for number, address in enumerate(ADDRESSES):
        (folder / f"{number}.txt").write_text(json.dumps(address))


def _parse(_: Path, file: Path) -> None:
    text = json.loads(file.read_bytes().decode("utf-8", "surrogatepass"))
    for flag in ("osc", "vmc", "websocket"):
        WebcamConfig(**{flag: text})


TARGETS = (
    Target("websocket", _make_handshakes, _shake_hands, (), of_bytes, special=False),
    Target(
        "address",
        _make_addresses,
        _parse,
        (ValueError,),
        lambda content: of_text(json.loads(content).encode()).map(
            lambda changed: json.dumps(changed.decode("utf-8", "replace")).encode()
        ),
        names_input=False,
        special=False,
        weight=0.5,
    ),
)
