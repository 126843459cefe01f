"""Which pages and names may read results."""

import socket

import pytest

from edge_runtime.sinks.access import AccessRule, parse_origin

OWN = "127.0.0.1:8765"


@pytest.fixture(autouse=True)
def own_name(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "Pi.example.lan")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (OWN, None),
        (OWN, "http://localhost"),
        (OWN, "http://localhost:5173"),
        (OWN, "https://LOCALHOST:5173"),
        (OWN, "http://127.0.0.1:8000"),
        (OWN, "http://127.1.2.3"),
        (OWN, "http://[::1]:8000"),
        ("localhost:8765", "http://localhost:8765"),
        ("localhost", None),
        ("[::1]:8765", None),
        ("192.168.1.20:8765", None),
        ("192.168.1.20:8765", "http://192.168.1.20"),
        ("192.168.1.20:8765", "http://localhost:8000"),
        ("pi.local:8765", None),
        ("PI.LOCAL:8765", "http://pi.local"),
        ("pi.example.lan:8765", "http://pi.example.lan:80"),
    ],
)
def test_programs_and_pages_of_this_machine_are_accepted(host, origin):
    assert AccessRule().refusal([host], [] if origin is None else [origin]) is None


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "http://localhost.evil.example", "http://evil.example:8765", "null", "file://"),
        *(
            "http://192.168.1.99",
            "http://127.0.0.1.evil.example",
            "http://localhost@evil.example",
            "chrome-extension://a",
        ),
        *("foo://localhost", "http://[::1", "", "http://", "localhost", "https://" + "x" * 7000),
    ],
)
def test_pages_of_other_machines_are_refused_with_the_remedy(origin):
    text = AccessRule().refusal([OWN], [origin])
    is_file = origin in ("null", "file://")
    advice = "open it by `python -m http.server` instead of as a file, or" if is_file else "to allow it,"
    assert f"may not read the results: {advice} start the server with --websocket-origin" in text
    assert origin[:100] in text
    assert len(text) < 700


def test_a_name_that_an_attacker_points_to_this_machine_is_refused():
    # DNS rebinding: the page's own name, which now resolves to 127.0.0.1.
    for origins in ([], ["http://evil.example:8765"], ["http://localhost"]):
        assert "does not know its name 'evil.example'" in AccessRule().refusal(["evil.example:8765"], origins)


@pytest.mark.parametrize("hosts", [[], [""], ["a", "b"], ["[::1"], [":8765"], ["//"], ["@"]])
def test_a_request_needs_one_valid_host(hosts):
    assert AccessRule().refusal(hosts, []) is not None


def test_several_origins_are_refused():
    assert "several Origin" in AccessRule().refusal([OWN], ["http://localhost", "http://localhost"])


def test_origins_are_allowed_by_name_and_so_are_their_hosts():
    rule = AccessRule("tracker.lan", ["https://Example.org/", "http://other.example:80", "null"])
    for host in (OWN, "example.org", "tracker.lan:8765"):
        for origin in ("https://example.org", "https://example.org:443", "http://other.example", "null", "file://"):
            assert rule.refusal([host], [origin]) is None
    for origin in ("http://example.org", "https://example.org:444", "https://www.example.org", "https://example.com"):
        assert rule.refusal([OWN], [origin]) is not None


@pytest.mark.parametrize(
    "text", ["", "*", "example.org", "https://", "https://example.org/page", "https://a b:x", "https://u@a", "a" * 9000]
)
def test_invalid_origins_are_rejected(text):
    with pytest.raises(ValueError, match=r"expected an origin as https://example\.org, or null, got") as error:
        parse_origin(text)
    assert len(str(error.value)) < 400


def test_refusals_are_safe_to_print():
    for text in (
        AccessRule().refusal(["\x1b[2J\udcff"], []),
        AccessRule().refusal([OWN], ["http://\x1b[31m\udcff"]),
    ):
        assert text.isprintable()
        assert text.isascii()
