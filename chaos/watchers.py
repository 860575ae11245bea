"""Watchers of tasks: they join early and late, lose their connection, and go on after what they have seen."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from dataclasses import dataclass

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketError, websocket_connect

from chaos.deployment import WS_URL
from chaos.notebook import Notebook, Watch

#: Seconds until a watcher that lost its connection tries again.
RETRY_SECONDS = 0.5
#: Seconds for a connection, and of silence after which one counts as broken.
CONNECT_SECONDS, PING_SECONDS = 10.0, 10.0
#: Seconds that the latest watchers join after the task was accepted.
LATEST_SECONDS = 6.0
#: One in so many connections is dropped by the watcher itself, in the middle.
DROPS_ONE_IN = 4


@dataclass(frozen=True)
class Pass:
    """What opens a task: its token, or the session of its owner."""

    token: str = ""
    cookie: str = ""


class Watchers:
    """All of them, in one thread with a loop of its own."""

    def __init__(self, notebook: Notebook, rng: random.Random) -> None:
        self._notebook = notebook
        self._rng = rng
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="watchers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def watch(self, ticket: int, token: str = "", cookie: str = "") -> Watch:
        """Have a new watcher follow a task to its end."""
        watch = self._notebook.watch(ticket, f"watcher {len(self._notebook.watches) + 1}")
        delay = self._rng.choice((0.0, 0.0, self._rng.uniform(0, LATEST_SECONDS)))
        asyncio.run_coroutine_threadsafe(self._follow(watch, Pass(token, cookie), delay), self._loop)
        return watch

    def unfinished(self) -> list[Watch]:
        """Those that have not seen the end yet."""
        return [watch for watch in self._notebook.watches if not watch.ended]

    async def _follow(self, watch: Watch, opener: Pass, delay: float) -> None:
        await asyncio.sleep(delay)
        while not watch.ended:
            try:
                await self._listen(watch, opener)
            except (OSError, HTTPClientError, WebSocketError, TimeoutError):
                pass  # it is away, and will be there again
            except Exception as error:  # a watcher that breaks is a finding
                self._notebook.surprise(f"{watch.name} of task {watch.ticket} broke: {error!r}")
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self, watch: Watch, opener: Pass) -> None:
        address = f"{WS_URL}/ws/watcher/{watch.ticket}?after={watch.after}&token={opener.token}"
        headers = {"Cookie": f"SessionToken={opener.cookie}"} if opener.cookie else {}
        request = HTTPRequest(address, headers=headers, connect_timeout=CONNECT_SECONDS)
        connecting = websocket_connect(request, ping_interval=PING_SECONDS, ping_timeout=PING_SECONDS)
        connection = await asyncio.wait_for(asyncio.ensure_future(connecting), CONNECT_SECONDS)
        watch.connections += 1
        left = self._rng.randrange(1, 6) if self._rng.randrange(DROPS_ONE_IN) == 0 else None
        try:
            while not watch.ended and left != 0:
                text = await connection.read_message()
                if text is None:
                    return
                message = json.loads(text)
                if message[0] == "task_status":
                    return  # there is no such task: a finding of the reckoning, if that stays so
                watch.take(str(message[0]), message[1], str(message[2]))
                left = left - 1 if left is not None else None
        finally:
            connection.close()
