"""The WebSocket server, by the library's client and by plain sockets."""

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import ROI, Face, Pose, TrackState
from edge_runtime.errors import SinkError
from edge_runtime.sinks.websocket import WebSocketSink
from edge_runtime.sources.source import Frame

library = pytest.importorskip("websockets.sync.client")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402

from edge_runtime.sinks import client, clients  # noqa: E402

FRAME = Frame(np.zeros((4, 4, 3), np.uint8), 1.5, 7)
LONG_NAME = Frame(FRAME.image, 1.5, 8, name="x" * 300_000)
"""A frame whose object is larger than what the system buffers for a client."""


@pytest.fixture
def sink():
    with WebSocketSink(0) as sink:
        yield sink


def face():
    points = np.arange(196.0).reshape(98, 2)
    pose = Pose.from_angles(0.1, -0.2, 0.3)
    return Face(3, TrackState.TRACKED, points, np.full(98, 1.5), pose, 0.75, ROI(1, 2, 3), np.array([0, 0, 1.0]), 7)


def connect(sink, origin=None, **options):
    return library.connect(f"ws://127.0.0.1:{sink.port}", origin=origin, **options)


def raw(sink, request=b""):
    """Return a plain connection that has sent this."""
    connection = socket.create_connection(("127.0.0.1", sink.port), timeout=60)
    connection.sendall(request)
    return connection


def request(*headers, host="localhost"):
    lines = ["GET / HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade", *headers]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "", ""]
    return "\r\n".join(lines).encode()


def everything(connection):
    """Return all that the server sends until it ends the connection."""
    received = b""
    with connection, contextlib.suppress(ConnectionError):
        while data := connection.recv(2**20):
            received += data
    return received


def open_files():
    """Return the number of this process's open files; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_clients_get_the_newest_frame(sink):
    with connect(sink) as connection:
        sink.write(FRAME, [face()])
        record = json.loads(connection.recv(timeout=60))
        assert record["frame"] == 7
        assert record["faces"][0]["id"] == 3
        assert record["faces"][0]["pose"]["angles"]["yaw"] == pytest.approx(-0.2)
    sink.write(FRAME, [])  # no client
    with connect(sink) as late:
        assert json.loads(late.recv(timeout=60))["faces"] == []


def test_the_end_is_told_to_the_clients_and_leaves_nothing_open():
    before = open_files()
    for _ in range(3):
        with WebSocketSink(0) as sink:
            connection = connect(sink)
            silent = raw(sink)
        with pytest.raises(ConnectionClosed) as error:
            connection.recv(timeout=60)
        assert error.value.rcvd.code == 1001
        connection.close()
        assert everything(silent) == b""
        assert not sink._thread.is_alive()
    assert open_files() == before


def test_the_last_frame_arrives_before_the_end():
    with WebSocketSink(0) as sink:
        connection = connect(sink)
        sink.write(FRAME, [])
        connection.recv(timeout=60)
        sink.write(Frame(FRAME.image, 2.0, 9), [])
    assert json.loads(connection.recv(timeout=60))["frame"] == 9
    connection.close()


def test_a_port_in_use_is_an_error(sink):
    with pytest.raises(SinkError, match=f"cannot listen on 127.0.0.1:{sink.port}: "):
        WebSocketSink(sink.port)


def test_without_the_library_the_extra_is_named(monkeypatch):
    for name in ("clients", "client"):
        monkeypatch.delitem(sys.modules, f"edge_runtime.sinks.{name}")
    monkeypatch.setitem(sys.modules, "websockets.server", None)
    with pytest.raises(SinkError, match=r"pip install 'atpn\[websocket\]'"):
        WebSocketSink(0)


def test_it_listens_on_ipv6():
    try:
        sink = WebSocketSink(0, "::1")
    except SinkError:
        pytest.skip("this system has no IPv6")
    with sink, library.connect(f"ws://[::1]:{sink.port}") as connection:
        sink.write(FRAME, [])
        assert json.loads(connection.recv(timeout=60))["frame"] == 7
        with pytest.raises(SinkError, match=rf"cannot listen on \[::1\]:{sink.port}"):
            WebSocketSink(sink.port, "::1")


def test_all_addresses_of_ipv6_hold_those_of_ipv4():
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system does not listen to both")
    try:
        sink = WebSocketSink(0, "::")
    except SinkError:
        pytest.skip("this system has no IPv6")
    with sink, library.connect(f"ws://[::1]:{sink.port}"), library.connect(f"ws://127.0.0.1:{sink.port}"):
        pass


@pytest.mark.parametrize("origin", [None, "http://localhost:8000", "http://[::1]", f"http://{socket.gethostname()}"])
def test_pages_of_this_machine_are_accepted(sink, origin):
    # The last one is a page of this machine that connects to it by its name.
    headers = [] if origin is None else [f"Origin: {origin}"]
    connection = raw(sink, request(*headers, host=f"{socket.gethostname()}:{sink.port}"))
    assert connection.recv(100).startswith(b"HTTP/1.1 101 ")
    connection.close()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "file://", "http://localhost.evil.example"])
def test_foreign_pages_get_a_403_that_says_what_to_do(sink, caplog, origin):
    for _ in range(3):
        with pytest.raises(InvalidStatus) as error:
            connect(sink, origin)
        assert error.value.response.status_code == 403
        text = error.value.response.body.decode()
        assert text.startswith(f"a page of {origin!r} may not read the results: ")
        assert f"--websocket-origin {origin!r}" in text
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [f"refused a WebSocket client: {text.strip()}"], "a page that tries again says nothing new"


def test_the_first_refused_pages_are_warned_of_once_each(sink, caplog):
    for number in [*range(clients.MAX_WARNINGS + 2)] * 2:
        with pytest.raises(InvalidStatus):
            connect(sink, f"https://page{number}.example")
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == clients.MAX_WARNINGS
    for number, warning in enumerate(warnings):
        assert warning.startswith(f"refused a WebSocket client: a page of 'https://page{number}.example' may not")


def test_allowed_pages_are_accepted():
    with WebSocketSink(0, origins=["https://example.org"]) as sink:
        for origin in ("https://example.org", "http://localhost"):
            with connect(sink, origin):
                pass
        with pytest.raises(InvalidStatus):
            connect(sink, "https://example.com")
    with pytest.raises(ValueError, match="expected an origin as"):
        WebSocketSink(0, origins=["example.org"])


@pytest.mark.parametrize("host", ["evil.example", "", "a\r\nHost: b", "\xff"])
def test_foreign_names_get_a_403(sink, host):
    answer = everything(raw(sink, request(host=host)))
    assert answer.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # TLS
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",  # a browser's address bar
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n0123456789",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET /" + b"x" * 20_000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500,
        b"\r\n" * 100,
        b"\xff" * 100 + b"\r\n\r\n",
        request("Sec-WebSocket-Key: x", "Origin: http://localhost", "Origin: http://localhost"),
        request("Sec-WebSocket-Extensions: ;;;"),
        request("Sec-WebSocket-Protocol: \x01"),
        request()[:50],
        request() + b"\xff" * 200,  # frames of no kind
        request() + bytes([0x81, 0x7F]) + b"\xff" * 8,  # a message of 2^64 bytes
        request() + bytes([0x88, 0x80, 0, 0, 0, 0]),  # the end, at once
        request() + bytes([0x89, 0xFE, 0xFF, 0xFF]),  # a long ping
    ],
)
def test_malformed_requests_leave_no_trace_and_disturb_nobody(sink, data, capfd, caplog):
    with connect(sink) as polite:
        connection = raw(sink, data)
        connection.shutdown(socket.SHUT_WR)
        everything(connection)
        sink.write(FRAME, [])
        assert json.loads(polite.recv(timeout=60))["frame"] == 7
    assert [record for record in caplog.records if record.exc_info] == []
    assert "Traceback" not in capfd.readouterr().err


def test_random_bytes_disturb_nobody(sink, caplog):
    random = np.random.default_rng(0)
    with connect(sink) as polite:
        for number in range(200):
            valid = bytearray(request())
            for at in random.integers(0, len(valid), random.integers(0, 4)):
                valid[at] = random.integers(256)
            connection = raw(sink, bytes(valid) + random.bytes(random.integers(0, 200)))
            if number % 2:
                connection.shutdown(socket.SHUT_WR)
                everything(connection)
            connection.close()
        sink.write(FRAME, [])
        assert json.loads(polite.recv(timeout=60))["frame"] == 7
    assert [record for record in caplog.records if record.exc_info] == []


def test_too_many_clients_get_a_503(sink, monkeypatch):
    monkeypatch.setattr(clients, "MAX_CLIENTS", 2)
    with connect(sink):
        with connect(sink):
            with pytest.raises(InvalidStatus) as error:
                connect(sink)
            assert error.value.response.status_code == 503
            assert error.value.response.body == b"2 clients are connected: close one\n"
        with connect(sink) as third:  # one left
            sink.write(FRAME, [])
            third.recv(timeout=60)


def test_connections_that_ask_nothing_are_limited_and_end(monkeypatch):
    monkeypatch.setattr(clients, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(client, "HANDSHAKE_SECONDS", 0.0)
    with WebSocketSink(0) as sink:
        silent = [raw(sink) for _ in range(10)]
        assert [everything(connection) for connection in silent] == [b""] * 10
        monkeypatch.setattr(client, "HANDSHAKE_SECONDS", 60.0)
        with connect(sink) as polite:
            sink.write(FRAME, [])
            polite.recv(timeout=60)


def test_slow_clients_miss_frames_and_are_dropped(sink):
    with connect(sink) as polite:
        slow = raw(sink, request())
        assert slow.recv(1) == b"H"
        for index in range(20):
            sink.write(Frame(LONG_NAME.image, 0.0, index, name=LONG_NAME.name), [])
            record = json.loads(polite.recv(timeout=60))
            assert record["frame"] == index, "another client waits for nobody"
        (stuck,) = [each for each in sink._clients._clients if each.socket.getpeername() == slow.getsockname()]
        assert not stuck.is_ready
        stuck.deadline = 0.0  # it has not read for long
        sink.write(FRAME, [])
        assert json.loads(polite.recv(timeout=60))["frame"] == 7
        received = everything(slow)
        assert received.count(b'"frame":0,') == 1
        assert received.count(b'"frame":') < 10, "what the system buffered"


def test_messages_of_clients_are_ignored(sink):
    with connect(sink) as connection:
        for _ in range(100):
            connection.send("hello")
            connection.send(b"\xff")
        connection.ping().wait(60)
        sink.write(FRAME, [])
        assert json.loads(connection.recv(timeout=60))["frame"] == 7


@pytest.mark.parametrize(("messages", "size"), [(1, 1025), (1, 2**20), (10_000, 10)])
def test_clients_that_say_much_are_dropped(sink, messages, size):
    with connect(sink) as connection:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(messages):
                connection.send("x" * size)
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=60)
    with connect(sink) as polite:
        sink.write(FRAME, [])
        polite.recv(timeout=60)


FLOOD = """
import contextlib, resource, socket, sys
import numpy as np
from edge_runtime.sinks.websocket import WebSocketSink
from edge_runtime.sources.source import Frame

def message(size):
    return bytes([0x82, 0xFF]) + size.to_bytes(8, "big") + bytes(4) + bytes(size)

def request():
    return (b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n")

large = message(2**20)
frame = Frame(np.zeros((4, 4, 3), np.uint8), 0.0, 0, name="x" * 1_000_000)
with WebSocketSink(0) as sink:
    sink.write(frame, [])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    attackers = []
    for number in range(60):
        connection = socket.create_connection(("127.0.0.1", sink.port), timeout=60)
        attackers.append(connection)
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.send(request())
    for _ in range(30):
        for connection in attackers:
            with contextlib.suppress(OSError):
                connection.send(large)
        sink.write(frame, [])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_many_clients_that_send_much_and_read_nothing_cost_bounded_memory():
    done = subprocess.run([sys.executable, "-c", FLOOD], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) / 1024 < 100, "MiB; 32 clients wait for a megabyte each"
    # Whether the other clients are refused before the end depends on the machine.
    assert all("32 clients are connected" in line for line in done.stderr.splitlines()), done.stderr
