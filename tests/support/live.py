"""For tests of the live side: the server in the test's own event loop, and clients that note what they see."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.websocket import WebSocketClientConnection, websocket_connect

from knossos.database import Database
from knossos.jobs import Engine
from knossos.live.application import make_application
from knossos.live.hub import Hub
from knossos.scripting.credentials import credentials_of
from knossos.settings import Settings
from tests.support.scenes import PlayedJob

#: Seconds after which a test that waits for something has failed.
PATIENCE = 45.0


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
    steering = engine or Engine(settings)
    credentials = credentials_of(settings, Database(settings), Engine(settings))
    application = make_application(settings, hub, steering, credentials)
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


@asynccontextmanager
async def watched(settings: Settings, job: PlayedJob) -> AsyncIterator[tuple[Server, WatchingClient]]:
    """The server, and a client that gets the job's events as they come."""
    async with live_server(settings) as server:
        client = await server.watch(job.ticket, job.token)
        await server.until_live(1)
        yield server, client


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do it in an event loop, within a minute."""
    asyncio.run(asyncio.wait_for(work(), 60))


@asynccontextmanager
async def deaf_client(server: Server, job: PlayedJob) -> AsyncIterator[asyncio.StreamReader]:
    """A client that has connected and then reads nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(
        f"GET /ws/watcher/{job.ticket}?token={job.token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    await writer.drain()
    yield reader
    writer.close()
