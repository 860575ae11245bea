"""Public addresses, worked out from settings and a request."""

from __future__ import annotations

from typing import Any

import pytest

from knossos.settings import Settings
from knossos.web.addresses import is_plain_host, mirror_base, origin_of, public_base, websocket_base


@pytest.mark.parametrize(
    ("changes", "scheme", "host", "expected"),
    [
        ({}, "http", "localhost:8080", "ws://localhost:8085"),
        ({}, "http", "knossos.example", "ws://knossos.example:8085"),
        ({}, "https", "[::1]:8080", "wss://[::1]:8085"),
        ({"trusted_proxies": 1}, "https", "knossos.example", "wss://knossos.example"),
        ({"trusted_proxies": 1}, "http", "knossos.example:81", "ws://knossos.example:81"),
        ({"ws_url": "wss://live.example", "trusted_proxies": 1}, "http", "x", "wss://live.example"),
        ({"ws_url": "https://live.example/"}, "http", "x", "wss://live.example"),
    ],
)
def test_pages_are_told_where_the_websocket_server_is(
    changes: dict[str, Any], scheme: str, host: str, expected: str
) -> None:
    assert websocket_base(Settings(**changes), scheme, host) == expected


def test_the_mirror_is_where_the_settings_say_or_else_here() -> None:
    assert (
        mirror_base(Settings(mirror_url="https://mirror.example/mods/"), "http", "x") == "https://mirror.example/mods"
    )
    assert mirror_base(Settings(public_url="https://knossos.example"), "http", "x") == "https://knossos.example/mirror"
    assert mirror_base(Settings(), "http", "x:8080") == "http://x:8080/mirror"
    assert public_base(Settings(), "https", "x") == "https://x"


@pytest.mark.parametrize("host", ["x", "x.example:8080", "127.0.0.1", "[::1]:80", "a-b_c.example"])
def test_names_and_addresses_are_hosts(host: str) -> None:
    assert is_plain_host(host)


@pytest.mark.parametrize("host", ["", "x y", "x;y", "x/y", "x:y", "x:999999", "[::1", "x'", "x,y", "x\n"])
def test_what_could_break_out_of_a_header_is_no_host(host: str) -> None:
    assert not is_plain_host(host)


def test_an_origin_has_no_path() -> None:
    assert origin_of("https://knossos.example:444/path?query") == "https://knossos.example:444"
