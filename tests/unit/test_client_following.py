"""Following a task: what a signal does at the worst of moments."""

from __future__ import annotations

import asyncio
import io
from functools import partial
from typing import Any

import pytest

from knossos.client import commands, following
from knossos.client.errors import Detached
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


@pytest.mark.parametrize(
    ("module", "command"),
    [(following, partial(commands.watch, target=None)), (commands, commands.cancel)],
    ids=["watch", "cancel"],
)
def test_a_signal_in_the_moment_in_which_the_connection_comes_about_is_heeded(
    module: Any, command: Any, monkeypatch: pytest.MonkeyPatch
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

    monkeypatch.setattr(module, "websocket_connect", connect)
    with pytest.raises(Detached, match="Task 1 goes on without us"):
        command(server=Asked(URL), screen=LineScreen(io.StringIO(), io.StringIO()), task=Task(1, "token"))
