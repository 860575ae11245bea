"""The live side's pure rules: origins, tickets, what clients say, and the bound on what waits for a client."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.live import watcher as watcher_module
from knossos.live.client_messages import Answer, Cancel, Unknown, UserReady, parse_client_message
from knossos.live.doorkeeper import parse_ticket
from knossos.live.messages import Encoded, Message, Style
from knossos.live.origins import may_connect
from knossos.live.watcher import Watcher
from knossos.settings import Settings

SETTINGS = Settings(
    data_path=Path("unused"), public_url="https://mods.example", allowed_origins=("http://pages.example:81",)
)


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "anything", True),
        ("http://127.0.0.1:8085", "127.0.0.1:8085", True),
        ("http://127.0.0.1:8080", "127.0.0.1:8085", False),
        ("http://[::1]:8085", "[::1]:8085", True),
        ("http://LOCALHOST:8085", "localhost:8085", True),
        ("http://localhost", "localhost:80", True),
        ("https://mods.example", "10.0.0.1:8085", True),
        ("https://mods.example:443", "10.0.0.1", True),
        ("http://mods.example", "10.0.0.1", False),
        ("http://pages.example:81", "10.0.0.1", True),
        ("http://pages.example", "10.0.0.1", False),
        ("https://mods.example.evil", "mods.example", False),
        ("https://evil/mods.example", "mods.example", False),
        ("https://mods.example@evil", "mods.example", False),
        ("file://mods.example", "mods.example", False),
        ("null", "null", False),
        ("", "", False),
        ("http://", "", False),
        ("http://[", "[", False),
        ("http://host:99999", "host", False),
    ],
)
def test_pages_may_connect_from_here_and_from_the_settings_only(origin: str | None, host: str, allowed: bool) -> None:
    assert may_connect(origin, host, SETTINGS) is allowed


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "alone", "proxied"),
    [
        # The HTTP server beside us, where no proxy stands in front of both.
        ("http://knossos.lan:8080", "knossos.lan:8085", "http", True, False),
        ("http://[::1]:8080", "[::1]:8085", "http", True, False),
        # This very address.
        ("http://knossos.lan:8085", "knossos.lan:8085", "http", True, True),
        ("https://knossos.lan", "knossos.lan", "https", True, True),
        ("https://knossos.lan:443", "knossos.lan", "https", True, True),
        ("http://knossos.lan", "knossos.lan", "http", True, True),
        # Another port or another scheme of our own name: another site.
        ("http://knossos.lan:3000", "knossos.lan:8085", "http", False, False),
        ("http://knossos.lan", "knossos.lan:8085", "http", False, False),
        ("https://knossos.lan:8080", "knossos.lan:8085", "http", False, False),
        ("http://knossos.lan", "knossos.lan", "https", False, False),
        ("https://knossos.lan:4443", "knossos.lan", "https", False, False),
        ("http://evil.example:8080", "knossos.lan:8085", "http", False, False),
    ],
)
def test_without_a_public_url_only_the_server_beside_us_and_this_very_address_may_connect(
    origin: str, host: str, scheme: str, alone: bool, proxied: bool
) -> None:
    settings = Settings(data_path=Path("unused"))
    assert may_connect(origin, host, settings, scheme) is alone
    behind = settings.model_copy(update={"trusted_proxies": 1})
    assert may_connect(origin, host, behind, scheme) is proxied


@given(st.text(), st.text())
def test_no_origin_raises(origin: str, host: str) -> None:
    may_connect(origin, host, SETTINGS)
    may_connect(f"http://{origin}", host, SETTINGS)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.0", "1e3", " 1", "01", "٣", "1" * 19, "x"])
def test_what_can_be_no_ticket_is_none(text: str) -> None:
    assert parse_ticket(text) is None
    assert parse_ticket("17") == 17


def test_what_clients_say_is_understood() -> None:
    assert parse_client_message('["user_ready", []]') == UserReady()
    assert parse_client_message('["captcha_response", ["fjord"]]') == Answer("fjord")
    assert parse_client_message('["cancel", []]') == Cancel()
    assert parse_client_message('["other", [1], 2]') == Unknown("other")


@given(st.text())
def test_whatever_a_client_says_raises_a_value_error_at_most(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_client_message(text)


class FakeSocket:
    """A connection whose client reads when told to."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []
        self.closed: int | None = None

    def write_frames(self, data: bytes) -> asyncio.Future[None] | None:
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(sent)
        return sent

    def close(self, code: int, reason: str) -> None:
        self.closed = code

    def read_all(self) -> None:
        for sent in self.waiting:
            sent.set_result(None)
        self.waiting.clear()


def test_what_waits_for_a_client_is_counted_until_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_module, "MOST_PENDING_BYTES", 1000)

    async def work() -> None:
        socket = FakeSocket()
        watcher = Watcher(socket, 1, Style.NEW)
        batch = Encoded([Message("log_message", ["x" * 300], "1-0")])
        for _ in range(3):
            watcher.send(batch)
        slow = [watcher.too_slow]
        watcher.send(batch)
        slow.append(watcher.too_slow)
        socket.read_all()
        await asyncio.sleep(0)
        slow.append(watcher.too_slow)
        assert slow == [False, True, False]

    asyncio.run(work())


def test_a_watcher_that_is_closed_is_sent_nothing_and_closed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        socket = FakeSocket()
        watcher = Watcher(socket, 1)
        watcher.close(1000, "first")
        watcher.close(1011, "second")
        watcher.tell("log_message", "x")
        watcher.close_soon()
        assert socket.closed == 1000
        assert socket.waiting == []

    asyncio.run(work())
