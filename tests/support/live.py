"""For tests of the live side: a Redis that can be restarted, a worker that plays jobs by hand, and watchers.

Everything is real but the worker: the engine's own scripts write the records and events.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import redis
from tornado.httpclient import HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.websocket import WebSocketClientConnection, websocket_connect

from knossos.accounts import Sessions
from knossos.jobs import Engine, JobFailure, JobRecord, JobSpec
from knossos.live import Hub, make_application
from knossos.settings import Settings

#: Seconds after which a test that waits for something has failed.
PATIENCE = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """A Redis of our own that writes everything down, so that it can be restarted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        options += ["--appendfsync", "everysec", "--dir", str(self.folder)]
        self._process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
                return
            except redis.RedisError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None


class PlayedJob:
    """A job whose worker is the test."""

    def __init__(self, engine: Engine, **spec: Any) -> None:
        self.engine = engine
        self.record: JobRecord = engine.submit(
            JobSpec(function="a.b", kind="conversion", title="a mod", owner="key:test", **spec)
        )
        self.ticket = self.record.ticket
        self.token = self.record.token
        self._seq = 0
        self._fence = f"fence-{self.ticket}"

    def start(self) -> PlayedJob:
        self.engine.ledger.start(self.ticket, self._fence, "worker", self._pipe)
        return self

    def write(self, kind: str, data: dict[str, Any], only_last: bool = False, max_lines: int = 10_000) -> None:
        self._seq += 1
        self.engine.ledger.append(
            self.ticket, self._fence, self._seq, kind, data, only_last=only_last, max_lines=max_lines
        )

    def log(self, text: str, level: str = "INFO", max_lines: int = 10_000) -> None:
        self.write("log", {"level": level, "text": text, "time": 1.0}, max_lines=max_lines)

    def progress(self, fraction: float, text: str) -> None:
        self.write("progress", {"fraction": fraction, "text": text}, only_last=True)

    def ask(self, question: str, image: str) -> None:
        self.engine.ledger.ask(self.ticket, self._fence, question, "captcha", {"image": image})

    def take_back(self, question: str) -> None:
        self.engine.ledger.take_back(self.ticket, self._fence, question)

    def lose_worker(self) -> None:
        self.engine.ledger.requeue(self.ticket, self._fence, "The worker was lost; another one starts.", self._pipe)

    def succeed(self, result: Any = None) -> None:
        self.engine.ledger.succeed(self.ticket, self._fence, result, self._pipe)

    def fail(self, message: str) -> None:
        self.engine.ledger.fail(self.ticket, self._fence, JobFailure(code="broken", message=message), self._pipe)

    @property
    def _pipe(self) -> Any:
        return self.engine.redis


class Server:
    """The WebSocket server inside the test's event loop."""

    def __init__(self, settings: Settings, hub: Hub, port: int) -> None:
        self.settings = settings
        self.hub = hub
        self.port = port
        self.clients: list[WatchingClient] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def watch(
        self,
        ticket: int | str,
        token: str = "",
        after: str | None = None,
        room: str = "watcher",
        headers: dict[str, str] | None = None,
    ) -> WatchingClient:
        query = f"?token={token}" + (f"&after={after}" if after is not None else "")
        request = HTTPRequest(f"{self.url}/ws/{room}/{ticket}{query}", headers=headers or {})
        client = WatchingClient(await websocket_connect(request))
        self.clients.append(client)
        return client

    async def until_live(self, count: int) -> None:
        """Wait until that many watchers get events as they come."""
        await wait_for(lambda: sum(len(c.live) for c in self.hub._channels.values()) == count)


class WatchingClient:
    """What a client sees."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection
        # Until the server has answered the closing, the socket is open though the connection is gone.
        self.stream: Any = getattr(connection.protocol, "stream", None)
        self.messages: list[list[Any]] = []

    async def next(self) -> list[Any] | None:
        """The next message; None when the socket was closed."""
        text = await asyncio.wait_for(asyncio.ensure_future(self.connection.read_message()), PATIENCE)
        if text is None:
            return None
        message: list[Any] = json.loads(text)
        self.messages.append(message)
        return message

    async def until(self, event: str) -> list[list[Any]]:
        """Everything up to the first message of that event."""
        while True:
            message = await self.next()
            assert message is not None, f"closed before {event}: {self.messages}"
            if message[0] == event:
                return self.messages

    async def until_line(self, text: str) -> list[list[Any]]:
        """Everything up to that line of the log."""
        while True:
            message = await self.next()
            assert message is not None, f"closed before {text}: {self.messages}"
            if message[0] == "log_message" and message[1][0].endswith(text):
                return self.messages

    async def until_closed(self) -> int | None:
        """Read to the end; the close code."""
        while await self.next() is not None:
            pass
        return self.connection.close_code

    @property
    def lines(self) -> list[str]:
        return [message[1][0].partition(": ")[2] for message in self.messages if message[0] == "log_message"]

    @property
    def events(self) -> list[str]:
        return [message[0] for message in self.messages]

    def close(self) -> None:
        self.connection.close()


async def wait_for(condition: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def live_server(settings: Settings, engine: Any = None) -> AsyncIterator[Server]:
    """Run the WebSocket server on a free port."""
    hub = Hub(settings.redis)
    application = make_application(settings, hub, engine or Engine(settings), Sessions(settings))
    following = asyncio.create_task(hub.run())
    server = HTTPServer(application)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    running = Server(settings, hub, sockets[0].getsockname()[1])
    try:
        yield running
    finally:
        server.stop()
        for client in running.clients:
            client.close()
        hub.close()
        with contextlib.suppress(AssertionError):
            await wait_for(lambda: hub.watchers == 0)
        await server.close_all_connections()
        with contextlib.suppress(AssertionError):
            await wait_for(lambda: all(client.stream.closed() for client in running.clients))
        following.cancel()
        await asyncio.wait([following])
