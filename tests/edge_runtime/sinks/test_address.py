"""Network addresses as users write them."""

import socket

import pytest

from edge_runtime.errors import SinkError
from edge_runtime.sinks.address import format_address, parse_address, resolve


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9000", ("127.0.0.1", 9000)),
        (":9000", ("127.0.0.1", 9000)),
        ("pi.local:39539", ("pi.local", 39539)),
        ("[::1]:8765", ("::1", 8765)),
        ("[::]:1", ("::", 1)),
        ("[fe80::1%eth0]:65535", ("fe80::1%eth0", 65535)),
    ],
)
def test_addresses_are_parsed(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "host", "host:", "host:0", "host:99999", "9000:host", "host:٣", "host:-1", "host: 1"),
        *("::1:8765", "[::1]", "[]:1", "[host]:1", "[127.0.0.1]:1", "host:" + "9" * 5000),
    ],
)
def test_other_texts_are_rejected_briefly(text):
    with pytest.raises(ValueError, match="HOST:PORT") as error:
        parse_address(text)
    assert len(str(error.value)) < 400


def test_addresses_are_shown_as_they_are_written():
    for text in ("[::1]:8765", "pi.local:1"):
        assert format_address(*parse_address(text)) == text


def test_an_ipv4_address_comes_first(monkeypatch):
    found = [(socket.AF_INET6, 0, 0, "", ("::1", 1, 0, 0)), (socket.AF_INET, 0, 0, "", ("127.0.0.1", 1))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: found)
    assert resolve("localhost", 1, socket.SOCK_DGRAM) == (socket.AF_INET, ("127.0.0.1", 1))
    found.pop()
    assert resolve("localhost", 1, socket.SOCK_DGRAM) == (socket.AF_INET6, ("::1", 1, 0, 0))


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "x" * 70, "x" * 5000])
def test_unknown_hosts_are_rejected(host):
    with pytest.raises(SinkError, match="cannot resolve host ") as error:
        resolve(host, 1, socket.SOCK_DGRAM)
    assert len(str(error.value)) < 600
