"""Network addresses: HOST:PORT as users write it."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from edge_runtime.errors import SinkError
from edge_runtime.reading import quote


def parse_address(text: str) -> tuple[str, int]:
    """Parse HOST:PORT, [IPV6]:PORT, or PORT for this machine. ValueError if the text is none of them."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ValueError(f"expected HOST:PORT or PORT, with a port from 1 to 65535, got {quote(text)!r}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ipv6(host):
            raise ValueError(f"expected an IPv6 address between the brackets of HOST:PORT, got {quote(text)!r}")
    elif ":" in host:
        raise ValueError(f"expected an IPv6 address in brackets, as [::1]:9000 for HOST:PORT, got {quote(text)!r}")
    return host or "127.0.0.1", int(port)


def format_address(host: str, port: int) -> str:
    """Return HOST:PORT, with the brackets of IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(host: str, port: int, kind: socket.SocketKind) -> tuple[socket.AddressFamily, Any]:
    """Return the family and the address of a host for sockets of this kind, of IPv4 if it has one.

    SinkError if the host is unknown.
    """
    try:
        found = socket.getaddrinfo(host, port, type=kind)
    except (OSError, UnicodeError) as error:  # a name with an empty or too long part is a UnicodeError
        reason = error.strerror if isinstance(error, OSError) else error
        raise SinkError(
            f"cannot resolve host {quote(host)!r}: {reason}; check the name or give an IP address"
        ) from error
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False
