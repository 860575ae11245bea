"""Following a task and ending it: what signals and bad connections do at the worst of moments."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tornado.websocket import WebSocketClosedError

from knossos.client import commands, following
from knossos.client.errors import Detached, Unreachable
from knossos.client.screens import LineScreen
from knossos.client.server import Server, Task

URL = "http://127.0.0.1:1"


class Asked(Server):
    """Knows where its WebSocket server is."""

    def websocket_urls(self) -> list[str]:
        return ["ws://127.0.0.1:1"]


class Connection:
    """A WebSocket that is there for nobody."""

    async def write_message(self, text: str) -> None:
        raise AssertionError(f"the program goes on, and sends {text}")

    async def read_message(self) -> str:
        raise AssertionError("the program goes on, and reads")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("command", [partial(commands.watch, target=None), commands.cancel], ids=["watch", "cancel"])
def test_a_signal_in_the_moment_in_which_the_connection_comes_about_is_heeded(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: Any, **__: Any) -> asyncio.Future[Connection]:
        loop, working = asyncio.get_running_loop(), asyncio.current_task()
        assert working is not None
        opened: asyncio.Future[Connection] = loop.create_future()

        def at_once() -> None:
            opened.set_result(Connection())
            working.cancel()  # as the signals' handler does

        loop.call_soon(at_once)
        return opened

    monkeypatch.setattr(following, "websocket_connect", connect)
    with pytest.raises(Detached, match="Task 1 goes on without us"):
        command(server=Asked(URL), screen=LineScreen(io.StringIO(), io.StringIO()), task=Task(1, "token"))


class Talker(Connection):
    """A WebSocket that says what it was made with, and then breaks."""

    def __init__(self, *said: str) -> None:
        self.said = list(said)
        self.closed = False

    async def write_message(self, text: str) -> None:
        pass

    async def read_message(self) -> str | None:  # type: ignore[override]
        return self.said.pop(0) if self.said else None

    def close(self) -> None:
        self.closed = True


class Reset(Talker):
    async def write_message(self, text: str) -> None:
        raise WebSocketClosedError


class Counted:
    """Stands for ``websocket_connect``: gives the connections one after the other, and notes the calls."""

    def __init__(self, *connections: Talker) -> None:
        self.connections = list(connections)
        self.calls: list[dict[str, Any]] = []

    async def __call__(self, request: Any, **options: Any) -> Talker:
        self.calls.append({"url": request.url, **options})
        if not self.connections:
            raise ConnectionRefusedError
        return self.connections.pop(0)


def screen() -> LineScreen:
    return LineScreen(io.StringIO(), io.StringIO())


DONE = '["done", [true, {"state": "succeeded"}]]'


@pytest.mark.parametrize(
    "connection",
    [
        Reset(), Talker(), Talker("hello"), Talker("17"), Talker('["done", null]'), Talker('["done", [true, {}]]'),
        Talker("[]"), Talker('["done", [true, 5]]'),
    ],
    ids=lambda one: f"{type(one).__name__} {one.said}",
)  # fmt: skip
def test_cancel_ends_as_unreachable_where_the_connection_is_none_of_a_knossos_server(
    connection: Talker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "websocket_connect", Counted(connection))
    with pytest.raises(Unreachable):
        commands.cancel(Asked(URL), screen(), Task(1, "token"))
    assert connection.closed


@pytest.mark.parametrize("command", [partial(commands.watch, target=None), commands.cancel], ids=["watch", "cancel"])
def test_a_connection_is_closed_at_the_end_and_a_silent_one_is_noticed(
    command: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = Talker(DONE)
    connect = Counted(connection)
    monkeypatch.setattr(following, "websocket_connect", connect)
    command(server=Asked(URL), screen=screen(), task=Task(1, "token"))
    assert connection.closed
    (call,) = connect.calls
    assert call["ping_interval"] == call["ping_timeout"] == following.PING_SECONDS > 0


class Moved(Asked):
    """Its WebSocket server is at another address each time that we ask."""

    asked = 0

    def websocket_urls(self) -> list[str]:
        self.asked += 1
        return [f"ws://127.0.0.1:{self.asked}"]

    def state(self, task: Task) -> str:
        return "WORKING"


def test_after_a_while_without_a_websocket_its_address_is_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(Counted):
        async def __call__(self, request: Any, **options: Any) -> Talker:
            if len(self.calls) < following.TRIES:
                self.calls.append({"url": request.url})
                raise ConnectionRefusedError
            return await super().__call__(request, **options)

    connect = Later(Talker(DONE))
    monkeypatch.setattr(following, "websocket_connect", connect)
    monkeypatch.setattr(following, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)
    commands.watch(Moved(URL), screen(), Task(1, "token"), None)
    before, after = connect.calls[0]["url"], connect.calls[-1]["url"]
    assert before.startswith("ws://127.0.0.1:1/")
    assert after.startswith("ws://127.0.0.1:2/")
