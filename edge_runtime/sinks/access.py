"""Who may connect to a server of results.

Any page that a browser shows may try to connect to servers of this machine and of its network. The browser names the
page's origin, so that the server can refuse it. Programs other than browsers send no origin.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from edge_runtime.reading import quote

_DEFAULT_PORTS = {"http": 80, "https": 443}
OPAQUE_ORIGIN = "null"
"""Origin that browsers send for a page that was opened as a file; some send `file://`."""


class AccessRule:
    """Rule that refuses the pages of other machines, and names that could be another machine's.

    Accepted are programs without an origin, pages of this machine (`localhost` and its IP addresses), pages of the
    machine that they connect to, and the origins that are allowed by name. A name that resolves to this machine may be
    an attacker's, so the request must have been made to an IP address, a name of this machine, or an allowed one.
    """

    def __init__(self, host: str = "127.0.0.1", origins: Sequence[str] = ()) -> None:
        """Take the host that is listened on, and origins as `https://example.org`. ValueError if one is invalid."""
        self._origins = frozenset(map(parse_origin, origins))
        name = socket.gethostname().lower()
        allowed = [urlsplit(origin).hostname for origin in self._origins]
        self._hosts = {"localhost", name, f"{name.partition('.')[0]}.local", host.lower(), *allowed}

    def refusal(self, hosts: Sequence[str], origins: Sequence[str]) -> str | None:
        """Return why a request with these `Host` and `Origin` headers is refused, and what to do; None if it is not."""
        host = _host_of(f"//{hosts[0]}") if len(hosts) == 1 else None
        if host is None:
            return "the request has no valid Host header"
        if not _is_ip_address(host) and host not in self._hosts:
            return (
                f"this server does not know its name {_shown(host)}: connect to its IP address, or start it with "
                f"--websocket-origin {_shown(f'http://{host}')}"
            )
        if not origins:
            return None
        if len(origins) > 1:
            return "the request has several Origin headers"
        origin = origins[0].lower()
        page = _host_of(origin) if origin.startswith(("http://", "https://")) else None
        if page is not None and (page in ("localhost", host) or _is_loopback(page)):
            return None
        if self._is_allowed(origin):
            return None
        is_file = origin in (OPAQUE_ORIGIN, "file://")
        advice = "open it by `python -m http.server` instead of as a file, or " if is_file else "to allow it, "
        return (
            f"a page of {_shown(origin)} may not read the results: {advice}start the server with "
            f"--websocket-origin {_shown(origin)}"
        )

    def _is_allowed(self, origin: str) -> bool:
        try:
            return parse_origin(origin) in self._origins
        except ValueError:
            return False


def parse_origin(text: str) -> str:
    """Return an origin in one form: lower case, without a default port. ValueError if it is not an origin."""
    if text.lower() in (OPAQUE_ORIGIN, "file://"):
        return OPAQUE_ORIGIN
    origin = text.lower().removesuffix("/")
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not parts.scheme or not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        raise ValueError(f"expected an origin as https://example.org, or {OPAQUE_ORIGIN}, got {quote(text)!r}")
    if port is not None and port == _DEFAULT_PORTS.get(parts.scheme):
        origin = origin.removesuffix(f":{port}")
    return origin


def _shown(text: str) -> str:
    """Return a part of a request in quotes, for terminals: without control characters."""
    return ascii(quote(text))


def _host_of(url: str) -> str | None:
    """Return the host of a URL in lower case; None if it has none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_ip_address(host) and ipaddress.ip_address(host).is_loopback
